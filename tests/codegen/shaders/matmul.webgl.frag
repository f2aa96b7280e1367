// matmul
#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2DArray p0;
uniform highp sampler2DArray p1;
layout(location = 0) out highp vec4 o0;
layout(location = 1) out highp vec4 o1;
layout(location = 2) out highp vec4 o2;
layout(location = 3) out highp vec4 o3;
layout(location = 4) out highp vec4 o4;
layout(location = 5) out highp vec4 o5;
layout(location = 6) out highp vec4 o6;
layout(location = 7) out highp vec4 o7;
void main() {
  int f = int(gl_FragCoord.y) * 16 + int(gl_FragCoord.x);
  vec4 acc1_0;
  vec4 acc1_1;
  vec4 acc1_2;
  vec4 acc1_3;
  vec4 acc1_4;
  vec4 acc1_5;
  vec4 acc1_6;
  vec4 acc1_7;
  acc1_0 = vec4(0.0);
  acc1_1 = vec4(0.0);
  acc1_2 = vec4(0.0);
  acc1_3 = vec4(0.0);
  acc1_4 = vec4(0.0);
  acc1_5 = vec4(0.0);
  acc1_6 = vec4(0.0);
  acc1_7 = vec4(0.0);
  int i1 = f / 12;
  int i2 = i1 * 64;
  int i4 = f % 12;
  for (int k1 = 0; k1 < 8; k1++) {
    int i3 = i2 + k1;
    vec4 t1 = texelFetch(p0, ivec3(i3 & 31, i3 >> 5, 0), 0);
    int i5 = i4 + (k1 * 48);
    vec4 t2 = texelFetch(p1, ivec3(i5 & 31, i5 >> 5, 0), 0);
    acc1_0 = acc1_0 + (t1.x * t2);
    int i6 = i3 + 8;
    vec4 t3 = texelFetch(p0, ivec3(i6 & 31, i6 >> 5, 0), 0);
    acc1_1 = acc1_1 + (t3.x * t2);
    int i7 = i3 + 16;
    vec4 t4 = texelFetch(p0, ivec3(i7 & 31, i7 >> 5, 0), 0);
    acc1_2 = acc1_2 + (t4.x * t2);
    int i8 = i3 + 24;
    vec4 t5 = texelFetch(p0, ivec3(i8 & 31, i8 >> 5, 0), 0);
    acc1_3 = acc1_3 + (t5.x * t2);
    int i9 = i3 + 32;
    vec4 t6 = texelFetch(p0, ivec3(i9 & 31, i9 >> 5, 0), 0);
    acc1_4 = acc1_4 + (t6.x * t2);
    int i10 = i3 + 40;
    vec4 t7 = texelFetch(p0, ivec3(i10 & 31, i10 >> 5, 0), 0);
    acc1_5 = acc1_5 + (t7.x * t2);
    int i11 = i3 + 48;
    vec4 t8 = texelFetch(p0, ivec3(i11 & 31, i11 >> 5, 0), 0);
    acc1_6 = acc1_6 + (t8.x * t2);
    int i12 = i3 + 56;
    vec4 t9 = texelFetch(p0, ivec3(i12 & 31, i12 >> 5, 0), 0);
    acc1_7 = acc1_7 + (t9.x * t2);
    int i13 = i5 + 12;
    vec4 t10 = texelFetch(p1, ivec3(i13 & 31, i13 >> 5, 0), 0);
    acc1_0 = acc1_0 + (t1.y * t10);
    acc1_1 = acc1_1 + (t3.y * t10);
    acc1_2 = acc1_2 + (t4.y * t10);
    acc1_3 = acc1_3 + (t5.y * t10);
    acc1_4 = acc1_4 + (t6.y * t10);
    acc1_5 = acc1_5 + (t7.y * t10);
    acc1_6 = acc1_6 + (t8.y * t10);
    acc1_7 = acc1_7 + (t9.y * t10);
    int i14 = i5 + 24;
    vec4 t11 = texelFetch(p1, ivec3(i14 & 31, i14 >> 5, 0), 0);
    acc1_0 = acc1_0 + (t1.z * t11);
    acc1_1 = acc1_1 + (t3.z * t11);
    acc1_2 = acc1_2 + (t4.z * t11);
    acc1_3 = acc1_3 + (t5.z * t11);
    acc1_4 = acc1_4 + (t6.z * t11);
    acc1_5 = acc1_5 + (t7.z * t11);
    acc1_6 = acc1_6 + (t8.z * t11);
    acc1_7 = acc1_7 + (t9.z * t11);
    int i15 = i5 + 36;
    vec4 t12 = texelFetch(p1, ivec3(i15 & 31, i15 >> 5, 0), 0);
    acc1_0 = acc1_0 + (t1.w * t12);
    acc1_1 = acc1_1 + (t3.w * t12);
    acc1_2 = acc1_2 + (t4.w * t12);
    acc1_3 = acc1_3 + (t5.w * t12);
    acc1_4 = acc1_4 + (t6.w * t12);
    acc1_5 = acc1_5 + (t7.w * t12);
    acc1_6 = acc1_6 + (t8.w * t12);
    acc1_7 = acc1_7 + (t9.w * t12);
  }
  o0 = acc1_0;
  o1 = acc1_1;
  o2 = acc1_2;
  o3 = acc1_3;
  o4 = acc1_4;
  o5 = acc1_5;
  o6 = acc1_6;
  o7 = acc1_7;
}

// neg
#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2DArray p0;
layout(location = 0) out highp vec4 o0;
void main() {
  int f = int(gl_FragCoord.y) * 32 + int(gl_FragCoord.x);
  int i1 = f / 96;
  int i2 = f % 12;
  int i3 = f / 12;
  int i4 = i3 & 7;
  int i5 = i1 * 12 + i2;
  vec4 t1 = texelFetch(p0, ivec3(i5 & 15, i5 >> 4, i4), 0);
  o0 = (-t1);
}

// reduce_sum
#version 300 es
precision highp float;
precision highp int;
uniform highp sampler2DArray p0;
layout(location = 0) out highp vec4 o0;
void main() {
  int f = int(gl_FragCoord.y) * 4 + int(gl_FragCoord.x);
  vec4 acc1_0;
  acc1_0 = vec4(0.0);
  int i1 = f >> 1;
  int i2 = i1 * 12;
  int i3 = f & 1;
  int i5 = i3 * 4;
  for (int k1 = 0; k1 < 12; k1++) {
    int i4 = i2 + k1;
    vec4 t1 = texelFetch(p0, ivec3(i4 & 15, i4 >> 4, (i3 * 4)), 0);
    vec4 t2 = texelFetch(p0, ivec3(i4 & 15, i4 >> 4, (i5 + 1)), 0);
    vec4 t3 = texelFetch(p0, ivec3(i4 & 15, i4 >> 4, (i5 + 2)), 0);
    vec4 t4 = texelFetch(p0, ivec3(i4 & 15, i4 >> 4, (i5 + 3)), 0);
    acc1_0 = acc1_0 + vec4(t1.x, t2.x, t3.x, t4.x);
    acc1_0 = acc1_0 + vec4(t1.y, t2.y, t3.y, t4.y);
    acc1_0 = acc1_0 + vec4(t1.z, t2.z, t3.z, t4.z);
    acc1_0 = acc1_0 + vec4(t1.w, t2.w, t3.w, t4.w);
  }
  o0 = acc1_0;
}
