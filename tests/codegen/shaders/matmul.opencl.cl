__kernel __attribute__((reqd_work_group_size(8, 8, 1)))
void matmul(
    __global const float *restrict p0,
    __global const float *restrict p1,
    __global float *restrict p2
) {
  int bx = (int)get_group_id(0);
  int by = (int)get_group_id(1);
  int tx = (int)get_local_id(0);
  int ty = (int)get_local_id(1);
  volatile int one = 1;
  __local float Pshared1[256];
  __local float Qshared1[256];
  float4 Clocal1_0;
  float4 Clocal1_1;
  float4 Clocal1_2;
  float4 Clocal1_3;
  Clocal1_0 = (float4)(0.0f);
  Clocal1_1 = (float4)(0.0f);
  Clocal1_2 = (float4)(0.0f);
  Clocal1_3 = (float4)(0.0f);
  int i1 = ty * 8 + tx;
  int i2 = ty + (by * 32);
  int i6 = tx + (ty * 8);
  int i7 = ty >> 2;
  int i9 = ty & 3;
  bool b2 = (i9 + (bx * 4)) < 9;
  int i12 = ty * 32;
  int i13 = tx * 4;
  for (int k1 = 0; k1 < 5; k1++) {
    barrier(CLK_LOCAL_MEM_FENCE);
    int i3 = k1 * 8;
    bool b1 = (tx + i3) < 37;
    for (int k2 = 0; k2 < 4; k2++) {
      float s1;
      if (((i2 + (k2 * 8)) < 70) && b1) {
        int i4 = ty * 37 + (by * 1184) + tx;
        int i5 = i4 + i3;
        float t1 = p0[i5 + (k2 * 296)];
        s1 = t1;
      }
      else {
        s1 = 0.0f;
      }
      Pshared1[i1 + (k2 * 64)] = s1;
    }
    int i8 = i7 + (k1 * 8);
    for (int k3 = 0; k3 < 4; k3++) {
      float s2;
      if (((i8 + (k3 * 2)) < 37) && b2) {
        int i10 = i7 * 72 + (i9 * 8) + tx + (bx * 32);
        int i11 = i10 + (k1 * 576);
        float t2 = p1[i11 + (k3 * 144)];
        s2 = t2;
      }
      else {
        s2 = 0.0f;
      }
      Qshared1[i6 + (k3 * 64)] = s2;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k4 = 0; k4 < 8; k4++) {
      float t3 = Pshared1[i12 + k4];
      float4 t4 = vload4(0, Qshared1 + (i13 + (k4 * 32)));
      Clocal1_0 = Clocal1_0 + (t3 * t4);
      int i14 = i12 + k4;
      float t5 = Pshared1[i14 + 8];
      Clocal1_1 = Clocal1_1 + (t5 * t4);
      float t6 = Pshared1[i14 + 16];
      Clocal1_2 = Clocal1_2 + (t6 * t4);
      float t7 = Pshared1[i14 + 24];
      Clocal1_3 = Clocal1_3 + (t7 * t4);
    }
  }
  if (((bx * 8 + tx) < 18) == one) {
    if (((by * 8 + ty) < 18) == one) {
      *(__global float4 *)(p2 + (by * 2304 + (ty * 288) + (bx * 32) + (tx * 4))) = Clocal1_0;
    }
    if (((by * 8 + ty) < 18) == one) {
      int i15 = by * 2304 + (ty * 288) + (bx * 32) + (tx * 4);
      *(__global float4 *)(p2 + (i15 + 72)) = Clocal1_1;
    }
    if (((by * 8 + ty) < 17) == one) {
      int i16 = by * 2304 + (ty * 288) + (bx * 32) + (tx * 4);
      *(__global float4 *)(p2 + (i16 + 144)) = Clocal1_2;
    }
    if (((by * 8 + ty) < 17) == one) {
      int i17 = by * 2304 + (ty * 288) + (bx * 32) + (tx * 4);
      *(__global float4 *)(p2 + (i17 + 216)) = Clocal1_3;
    }
  }
}
