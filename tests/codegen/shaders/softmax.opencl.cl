float nan_max_float(float a, float b) {
  return a > b || a != a ? a : b;
}
__kernel __attribute__((reqd_work_group_size(16, 1, 1)))
void softmax(
    __global const float *restrict p0,
    __global float *restrict p1
) {
  int bx = (int)get_group_id(0);
  int tx = (int)get_local_id(0);
  volatile int one = 1;
  __local float Mrf1[16];
  __local float Srf1[16];
  float M1_0;
  float S1_0;
  Mrf1[tx] = -INFINITY;
  for (int k1 = 0; k1 < 7; k1++) {
    if (((tx + (k1 * 16)) < 100) == one) {
      float t1 = Mrf1[tx];
      int i1 = bx * 100 + tx;
      float t2 = p0[i1 + (k1 * 16)];
      Mrf1[tx] = nan_max_float(t1, t2);
    }
  }
  M1_0 = -INFINITY;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int k2 = 0; k2 < 16; k2++) {
    float t3 = Mrf1[k2];
    M1_0 = nan_max_float(M1_0, t3);
  }
  Srf1[tx] = 0.0f;
  for (int k3 = 0; k3 < 7; k3++) {
    if (((tx + (k3 * 16)) < 100) == one) {
      int i2 = bx * 100 + tx;
      float t4 = p0[i2 + (k3 * 16)];
      float v1 = t4 - M1_0;
      bool b1 = v1 < (-104.0f);
      float v2 = b1 ? 0.0f : v1;
      float v3 = v2 >= 90.0f ? 90.0f : v2;
      float v4 = (v3 * 1.442695f) + 12582912.0f;
      float v5 = v4 - 12582912.0f;
      float v6 = v5 * (-1.4286068e-06f) + (v5 * (-0.69314575f) + v3);
      int i3 = as_int(as_uint(v4) - 1262485504u);
      int i4 = i3 >> 1;
      float v7 = b1 ? 0.0f : (((((v6 * v6) * ((((0.0013813142f * v6 + 0.008369419f) * v6 + 0.041668456f) * v6 + 0.16666515f) * v6 + 0.49999994f) + v6) + 1.0f) * as_float(as_int(as_uint(as_uint(i4) + 127u) << 23))) * as_float(as_int(as_uint(as_uint(as_uint(i3) - as_uint(i4)) + 127u) << 23)));
      float t5 = Srf1[tx];
      Srf1[tx] = t5 + v7;
    }
  }
  S1_0 = 0.0f;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (int k4 = 0; k4 < 16; k4++) {
    float t6 = Srf1[k4];
    S1_0 = S1_0 + t6;
  }
  int i5 = bx * 100 + tx;
  for (int k5 = 0; k5 < 6; k5++) {
    float t7 = p0[i5 + (k5 * 16)];
    float v8 = t7 - M1_0;
    bool b2 = v8 < (-104.0f);
    float v9 = b2 ? 0.0f : v8;
    float v10 = v9 >= 90.0f ? 90.0f : v9;
    float v11 = (v10 * 1.442695f) + 12582912.0f;
    float v12 = v11 - 12582912.0f;
    float v13 = v12 * (-1.4286068e-06f) + (v12 * (-0.69314575f) + v10);
    int i6 = as_int(as_uint(v11) - 1262485504u);
    int i7 = i6 >> 1;
    float v14 = b2 ? 0.0f : (((((v13 * v13) * ((((0.0013813142f * v13 + 0.008369419f) * v13 + 0.041668456f) * v13 + 0.16666515f) * v13 + 0.49999994f) + v13) + 1.0f) * as_float(as_int(as_uint(as_uint(i7) + 127u) << 23))) * as_float(as_int(as_uint(as_uint(as_uint(i6) - as_uint(i7)) + 127u) << 23)));
    p1[i5 + (k5 * 16)] = v14 / S1_0;
  }
  if ((tx < 4) == one) {
    float t8 = p0[i5 + 96];
    float v15 = t8 - M1_0;
    bool b3 = v15 < (-104.0f);
    float v16 = b3 ? 0.0f : v15;
    float v17 = v16 >= 90.0f ? 90.0f : v16;
    float v18 = (v17 * 1.442695f) + 12582912.0f;
    float v19 = v18 - 12582912.0f;
    float v20 = v19 * (-1.4286068e-06f) + (v19 * (-0.69314575f) + v17);
    int i8 = as_int(as_uint(v18) - 1262485504u);
    int i9 = i8 >> 1;
    float v21 = b3 ? 0.0f : (((((v20 * v20) * ((((0.0013813142f * v20 + 0.008369419f) * v20 + 0.041668456f) * v20 + 0.16666515f) * v20 + 0.49999994f) + v20) + 1.0f) * as_float(as_int(as_uint(as_uint(i9) + 127u) << 23))) * as_float(as_int(as_uint(as_uint(as_uint(i8) - as_uint(i9)) + 127u) << 23)));
    p1[i5 + 96] = v21 / S1_0;
  }
}
