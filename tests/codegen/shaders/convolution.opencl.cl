__kernel __attribute__((reqd_work_group_size(3, 9, 1)))
void convolution(
    __global const float *restrict p0,
    __global const float *restrict p1,
    __global float *restrict p2
) {
  int bx = (int)get_group_id(0);
  int tx = (int)get_local_id(0);
  int ty = (int)get_local_id(1);
  float4 Ylocal1_0;
  Ylocal1_0 = select(Ylocal1_0, (float4)(0.0f), (((int4)(tx * 4) + (int4)(0, 1, 2, 3)) < (int4)(9)));
  int i2 = tx * 4;
  int4 i3 = (int4)(i2) + (int4)(0, 1, 2, 3);
  int4 b1 = (int4)(1) <= i3;
  int4 b2 = i3 <= (int4)(9);
  int4 b4 = i3 < (int4)(9);
  int i10 = bx * 45;
  int4 b9 = ((int4)(i2 + 1) + (int4)(0, 1, 2, 3)) <= (int4)(9);
  int4 b11 = ((int4)(i2) + (int4)(0, 1, 2, 3)) < (int4)(9);
  int4 b15 = ((int4)(i2 + 2) + (int4)(0, 1, 2, 3)) <= (int4)(9);
  for (int k1 = 0; k1 < 5; k1++) {
    int i11 = i10 + (k1 * 9);
    for (int k2 = 0; k2 < 3; k2++) {
      int i1 = ty + k2;
      int4 b3 = ((int4)((1 <= i1) && (i1 <= 9) ? -1 : 0) & b1) & b2;
      int4 b5 = (b4 & b3) & b3;
      float4 m1;
      if (all(b5)) {
        int i4 = ty * 9 + i2;
        int i5 = i4 + (k1 * 81);
        int i6 = i5 + (k2 * 9);
        m1 = vload4(0, p0 + (i6 - 10));
      }
      else {
        bool b6 = 1 <= tx;
        int i7 = ty * 9 + i2;
        int i8 = i7 + (k1 * 81);
        int i9 = i8 + (k2 * 9);
        bool b7 = tx < 2;
        bool b8 = tx <= 1;
        m1 = (float4)(((((1 <= i1) && (i1 <= 9)) && b6) ? p0[i9 - 10] : 0.0f), ((b7 && ((1 <= i1) && (i1 <= 9))) ? p0[i9 - 9] : 0.0f), ((b7 && (((1 <= i1) && (i1 <= 9)) && b8)) ? p0[i9 - 8] : 0.0f), ((b7 && (((1 <= i1) && (i1 <= 9)) && b8)) ? p0[i9 - 7] : 0.0f));
      }
      float4 v1 = select((float4)(0.0f), m1, (b4 & b3));
      float t1 = p1[i11 + (k2 * 3)];
      Ylocal1_0 = select(Ylocal1_0, (Ylocal1_0 + (select((float4)(0.0f), v1, b3) * t1)), b4);
      int4 b10 = (int4)((1 <= i1) && (i1 <= 9) ? -1 : 0) & b9;
      int4 b12 = (b11 & b10) & b10;
      float4 m2;
      if (all(b12)) {
        int i12 = ty * 9 + i2;
        int i13 = i12 + (k1 * 81);
        int i14 = i13 + (k2 * 9);
        m2 = vload4(0, p0 + (i14 - 9));
      }
      else {
        int i15 = ty * 9 + i2;
        int i16 = i15 + (k1 * 81);
        int i17 = i16 + (k2 * 9);
        bool b13 = tx <= 1;
        bool b14 = tx < 2;
        m2 = (float4)((((1 <= i1) && (i1 <= 9)) ? p0[i17 - 9] : 0.0f), ((b14 && (((1 <= i1) && (i1 <= 9)) && b13)) ? p0[i17 - 8] : 0.0f), ((b14 && (((1 <= i1) && (i1 <= 9)) && b13)) ? p0[i17 - 7] : 0.0f), ((b14 && (((1 <= i1) && (i1 <= 9)) && b13)) ? p0[i17 - 6] : 0.0f));
      }
      float4 v2 = select((float4)(0.0f), m2, (b11 & b10));
      int i18 = i11 + (k2 * 3);
      float t2 = p1[i18 + 1];
      Ylocal1_0 = select(Ylocal1_0, (Ylocal1_0 + (select((float4)(0.0f), v2, b10) * t2)), b11);
      int4 b16 = (int4)((1 <= i1) && (i1 <= 9) ? -1 : 0) & b15;
      int4 b17 = (b11 & b16) & b16;
      float4 m3;
      if (all(b17)) {
        int i19 = ty * 9 + i2;
        int i20 = i19 + (k1 * 81);
        int i21 = i20 + (k2 * 9);
        m3 = vload4(0, p0 + (i21 - 8));
      }
      else {
        bool b18 = tx <= 1;
        int i22 = ty * 9 + i2;
        int i23 = i22 + (k1 * 81);
        int i24 = i23 + (k2 * 9);
        bool b19 = tx < 2;
        m3 = (float4)(((((1 <= i1) && (i1 <= 9)) && b18) ? p0[i24 - 8] : 0.0f), ((b19 && (((1 <= i1) && (i1 <= 9)) && b18)) ? p0[i24 - 7] : 0.0f), ((b19 && (((1 <= i1) && (i1 <= 9)) && b18)) ? p0[i24 - 6] : 0.0f), ((b19 && (((1 <= i1) && (i1 <= 9)) && b18)) ? p0[i24 - 5] : 0.0f));
      }
      float4 v3 = select((float4)(0.0f), m3, (b11 & b16));
      float t3 = p1[i18 + 2];
      Ylocal1_0 = select(Ylocal1_0, (Ylocal1_0 + (select((float4)(0.0f), v3, b16) * t3)), b11);
    }
  }
  float4 v4 = Ylocal1_0;
  if (all(b11)) {
    vstore4(v4, 0, p2 + (bx * 81 + (ty * 9) + i2));
  }
  else {
    p2[bx * 81 + (ty * 9) + i2] = v4.x;
    int i25 = bx * 81 + (ty * 9) + i2;
    if (tx < 2) {
      p2[i25 + 1] = v4.y;
    }
    if (tx < 2) {
      p2[i25 + 2] = v4.z;
    }
    if (tx < 2) {
      p2[i25 + 3] = v4.w;
    }
  }
}
