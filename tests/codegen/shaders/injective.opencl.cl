__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void injective(
    __global const float *restrict p0,
    __global const float *restrict p1,
    __global float *restrict p2
) {
  int bx = (int)get_group_id(0);
  int tx = (int)get_local_id(0);
  if ((bx * 64 + tx) < 250) {
    float4 t1 = *(__global const float4 *)(p0 + (bx * 256 + (tx * 4)));
    float4 t2 = *(__global const float4 *)(p1 + (bx * 256 + (tx * 4)));
    float4 v1 = (t1 * t2) + t1;
    *(__global float4 *)(p2 + (bx * 256 + (tx * 4))) = select(v1, (float4)(0.0f), v1 <= (float4)(0.0f));
  }
}
