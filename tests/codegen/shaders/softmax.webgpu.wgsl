@group(0) @binding(0) var<storage, read> p0: array<f32>;
@group(0) @binding(1) var<storage, read_write> p1: array<f32>;
var<workgroup> Mrf1: array<f32, 16>;
var<workgroup> Srf1: array<f32, 16>;
fn of_bits_f32(a: u32) -> f32 {
  return bitcast<f32>(a);
}
fn is_nan_f32(a: f32) -> bool {
  return (bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u;
}
fn nan_max_f32(a: f32, b: f32) -> f32 {
  return select(select(max(a, b), b, is_nan_f32(b)), a, is_nan_f32(a));
}
@compute @workgroup_size(16, 1, 1)
fn softmax(@builtin(workgroup_id) block: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let bx: i32 = i32(block.x);
  let tx: i32 = i32(thread.x);
  var M1_0: f32;
  var S1_0: f32;
  Mrf1[tx] = of_bits_f32(4286578688u);
  for (var k1: i32 = 0; k1 < 7; k1++) {
    if ((tx + (k1 * 16)) < 100) {
      let t1: f32 = Mrf1[tx];
      let i1: i32 = bx * 100 + tx;
      let t2: f32 = p0[i1 + (k1 * 16)];
      Mrf1[tx] = nan_max_f32(t1, t2);
    }
  }
  M1_0 = of_bits_f32(4286578688u);
  workgroupBarrier();
  for (var k2: i32 = 0; k2 < 16; k2++) {
    let t3: f32 = Mrf1[k2];
    M1_0 = nan_max_f32(M1_0, t3);
  }
  Srf1[tx] = 0.0;
  for (var k3: i32 = 0; k3 < 7; k3++) {
    if ((tx + (k3 * 16)) < 100) {
      let t4: f32 = Srf1[tx];
      let i2: i32 = bx * 100 + tx;
      let t5: f32 = p0[i2 + (k3 * 16)];
      Srf1[tx] = t4 + exp((t5 - M1_0));
    }
  }
  S1_0 = 0.0;
  workgroupBarrier();
  for (var k4: i32 = 0; k4 < 16; k4++) {
    let t6: f32 = Srf1[k4];
    S1_0 = S1_0 + t6;
  }
  let i3: i32 = bx * 100 + tx;
  for (var k5: i32 = 0; k5 < 6; k5++) {
    let t7: f32 = p0[i3 + (k5 * 16)];
    p1[i3 + (k5 * 16)] = exp((t7 - M1_0)) / S1_0;
  }
  if (tx < 4) {
    let t8: f32 = p0[i3 + 96];
    p1[i3 + 96] = exp((t8 - M1_0)) / S1_0;
  }
}
