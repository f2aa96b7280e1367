// mul_transpose_relu
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
void main() {
  int f = int(gl_FragCoord.y) * 4 + int(gl_FragCoord.x);
  int i1 = f % 3;
  int i2 = (f * 4) / 3;
  int i3 = (i1 * 10 + i2) >> 2;
  vec4 t1 = texelFetch(p0, ivec3(i3 & 3, i3 >> 2, 0), 0);
  int i4 = (i1 * 2 + i2) & 3;
  int i5 = (f + 1) % 3;
  int i6 = f * 4;
  int i7 = (i6 + 1) / 3;
  int i8 = (i5 * 10 + i7) >> 2;
  vec4 t2 = texelFetch(p0, ivec3(i8 & 3, i8 >> 2, 0), 0);
  int i9 = (i5 * 2 + i7) & 3;
  int i10 = (f + 2) % 3;
  int i11 = (i6 + 2) / 3;
  int i12 = (i10 * 10 + i11) >> 2;
  vec4 t3 = texelFetch(p0, ivec3(i12 & 3, i12 >> 2, 0), 0);
  int i13 = (i10 * 2 + i11) & 3;
  int i14 = i1 * 10 + i2;
  int i15 = (i14 + 1) >> 2;
  vec4 t4 = texelFetch(p0, ivec3(i15 & 3, i15 >> 2, 0), 0);
  int i16 = i1 * 2 + i2;
  int i17 = (i16 + 1) & 3;
  int i18 = f / 3;
  vec4 t5 = texelFetch(p1, ivec3(i18 & 1, i18 >> 1, 0), 0);
  int i19 = i2 & 3;
  int i20 = i7 & 3;
  int i21 = i11 & 3;
  int i22 = (i2 + 1) & 3;
  vec4 v1 = vec4(t1[i4], t2[i9], t3[i13], t4[i17]) * vec4(t5[i19], t5[i20], t5[i21], t5[i22]);
  o0 = keep_nan(v1, max(v1, vec4(0.0)));
}
