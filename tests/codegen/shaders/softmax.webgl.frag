// softmax
#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2DArray p0;
layout(location = 0) out highp vec4 o0;
bool is_nan(float a) {
  return (floatBitsToUint(a) & 0x7fffffffu) > 0x7f800000u;
}
bvec4 is_nan(vec4 a) {
  return greaterThan(floatBitsToUint(a) & uvec4(0x7fffffffu), uvec4(0x7f800000u));
}
float nan_max(float a, float b) {
  return is_nan(a) ? a : is_nan(b) ? b : max(a, b);
}
vec4 nan_max(vec4 a, vec4 b) {
  return mix(mix(max(a, b), b, is_nan(b)), a, is_nan(a));
}
void main() {
  int f = int(gl_FragCoord.x);
  vec4 acc1_0;
  acc1_0 = vec4(uintBitsToFloat(4286578688u));
  int i1 = f * 20;
  for (int k1 = 0; k1 < 5; k1++) {
    int i2 = i1 + k1;
    vec4 t1 = texelFetch(p0, ivec3(i2 & 7, i2 >> 3, 0), 0);
    int i3 = i2 + 5;
    vec4 t2 = texelFetch(p0, ivec3(i3 & 7, i3 >> 3, 0), 0);
    int i4 = i2 + 10;
    int i5 = clamp(i4, 0, 31);
    vec4 t3 = texelFetch(p0, ivec3(i5 & 7, i5 >> 3, 0), 0);
    int i6 = i2 + 15;
    int i7 = clamp(i6, 0, 31);
    vec4 t4 = texelFetch(p0, ivec3(i7 & 7, i7 >> 3, 0), 0);
    acc1_0 = nan_max(acc1_0, vec4(t1.x, t2.x, t3.x, t4.x));
    acc1_0 = nan_max(acc1_0, vec4(t1.y, t2.y, t3.y, t4.y));
    acc1_0 = nan_max(acc1_0, vec4(t1.z, t2.z, t3.z, t4.z));
    acc1_0 = nan_max(acc1_0, vec4(t1.w, t2.w, t3.w, t4.w));
  }
  o0 = acc1_0;
}

// softmax_1
#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2DArray p0;
uniform highp sampler2DArray p1;
layout(location = 0) out highp vec4 o0;
bool is_nan(float a) {
  return (floatBitsToUint(a) & 0x7fffffffu) > 0x7f800000u;
}
bvec4 is_nan(vec4 a) {
  return greaterThan(floatBitsToUint(a) & uvec4(0x7fffffffu), uvec4(0x7f800000u));
}
float keep_nan(float a, float b) {
  return is_nan(a) ? a : b;
}
vec4 keep_nan(vec4 a, vec4 b) {
  return mix(b, a, is_nan(a));
}
float nan_exp(float a) {
  return keep_nan(a, exp(a));
}
vec4 nan_exp(vec4 a) {
  return keep_nan(a, exp(a));
}
void main() {
  int f = int(gl_FragCoord.x);
  vec4 acc1_0;
  acc1_0 = vec4(0.0);
  int i1 = f * 20;
  vec4 t5 = texelFetch(p1, ivec3(f, 0, 0), 0);
  for (int k1 = 0; k1 < 5; k1++) {
    int i2 = i1 + k1;
    vec4 t1 = texelFetch(p0, ivec3(i2 & 7, i2 >> 3, 0), 0);
    int i3 = i2 + 5;
    vec4 t2 = texelFetch(p0, ivec3(i3 & 7, i3 >> 3, 0), 0);
    int i4 = i2 + 10;
    int i5 = clamp(i4, 0, 31);
    vec4 t3 = texelFetch(p0, ivec3(i5 & 7, i5 >> 3, 0), 0);
    int i6 = i2 + 15;
    int i7 = clamp(i6, 0, 31);
    vec4 t4 = texelFetch(p0, ivec3(i7 & 7, i7 >> 3, 0), 0);
    acc1_0 = acc1_0 + nan_exp((vec4(t1.x, t2.x, t3.x, t4.x) - t5));
    acc1_0 = acc1_0 + nan_exp((vec4(t1.y, t2.y, t3.y, t4.y) - t5));
    acc1_0 = acc1_0 + nan_exp((vec4(t1.z, t2.z, t3.z, t4.z) - t5));
    acc1_0 = acc1_0 + nan_exp((vec4(t1.w, t2.w, t3.w, t4.w) - t5));
  }
  o0 = acc1_0;
}

// softmax_2
#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2DArray p0;
uniform highp sampler2DArray p1;
uniform highp sampler2DArray p2;
layout(location = 0) out highp vec4 o0;
bool is_nan(float a) {
  return (floatBitsToUint(a) & 0x7fffffffu) > 0x7f800000u;
}
bvec4 is_nan(vec4 a) {
  return greaterThan(floatBitsToUint(a) & uvec4(0x7fffffffu), uvec4(0x7f800000u));
}
float keep_nan(float a, float b) {
  return is_nan(a) ? a : b;
}
vec4 keep_nan(vec4 a, vec4 b) {
  return mix(b, a, is_nan(a));
}
float nan_exp(float a) {
  return keep_nan(a, exp(a));
}
vec4 nan_exp(vec4 a) {
  return keep_nan(a, exp(a));
}
void main() {
  int f = min(int(gl_FragCoord.y) * 8 + int(gl_FragCoord.x), 29);
  vec4 t1 = texelFetch(p0, ivec3(f & 7, f >> 3, 0), 0);
  int i1 = f / 20;
  vec4 t2 = texelFetch(p1, ivec3(i1, 0, 0), 0);
  int i2 = f / 5;
  int i3 = i2 & 3;
  vec4 t3 = texelFetch(p2, ivec3(i1, 0, 0), 0);
  o0 = (nan_exp((t1 - t2[i3])) * (1.0 / t3[i3]));
}
