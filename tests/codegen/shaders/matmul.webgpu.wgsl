@group(0) @binding(0) var<storage, read> p0: array<f32>;
@group(0) @binding(1) var<storage, read> p1: array<f32>;
@group(0) @binding(2) var<storage, read_write> p2: array<vec4f>;
var<workgroup> Pshared1: array<f32, 256>;
var<workgroup> Qshared1: array<f32, 256>;
@compute @workgroup_size(8, 8, 1)
fn matmul(@builtin(workgroup_id) block: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let bx: i32 = i32(block.x);
  let by: i32 = i32(block.y);
  let tx: i32 = i32(thread.x);
  let ty: i32 = i32(thread.y);
  var Clocal1_0: vec4f;
  var Clocal1_1: vec4f;
  var Clocal1_2: vec4f;
  var Clocal1_3: vec4f;
  Clocal1_0 = vec4f(0.0);
  Clocal1_1 = vec4f(0.0);
  Clocal1_2 = vec4f(0.0);
  Clocal1_3 = vec4f(0.0);
  let i1: i32 = ty * 8 + tx;
  let i2: i32 = ty + (by * 32);
  let i4: i32 = ty * 37 + (by * 1184) + tx;
  let i6: i32 = tx + (ty * 8);
  let i7: i32 = ty >> 2u;
  let i10: i32 = ty & 3;
  let b2: bool = (i10 + (bx * 4)) < 9;
  let i11: i32 = i7 * 72 + (i10 * 8) + tx + (bx * 32);
  let i13: i32 = ty * 32;
  let i14: i32 = tx * 4;
  for (var k1: i32 = 0; k1 < 5; k1++) {
    workgroupBarrier();
    let i3: i32 = k1 * 8;
    let b1: bool = (tx + i3) < 37;
    let i5: i32 = i4 + i3;
    for (var k2: i32 = 0; k2 < 4; k2++) {
      let t1: f32 = p0[i5 + (k2 * 296)];
      Pshared1[i1 + (k2 * 64)] = select(0.0, t1, (((i2 + (k2 * 8)) < 70) && b1));
    }
    let i9: i32 = i7 + (k1 * 8);
    let i12: i32 = i11 + (k1 * 576);
    for (var k3: i32 = 0; k3 < 4; k3++) {
      let t2: f32 = p1[i12 + (k3 * 144)];
      Qshared1[i6 + (k3 * 64)] = select(0.0, t2, (((i9 + (k3 * 2)) < 37) && b2));
    }
    workgroupBarrier();
    for (var k4: i32 = 0; k4 < 8; k4++) {
      let t3: f32 = Pshared1[i13 + k4];
      let i15: i32 = i14 + (k4 * 32);
      let t4: vec4f = vec4f(Qshared1[i14 + (k4 * 32)], Qshared1[i15 + 1], Qshared1[i15 + 2], Qshared1[i15 + 3]);
      Clocal1_0 = Clocal1_0 + (t3 * t4);
      let i17: i32 = i13 + k4;
      let t5: f32 = Pshared1[i17 + 8];
      Clocal1_1 = Clocal1_1 + (t5 * t4);
      let t6: f32 = Pshared1[i17 + 16];
      Clocal1_2 = Clocal1_2 + (t6 * t4);
      let t7: f32 = Pshared1[i17 + 24];
      Clocal1_3 = Clocal1_3 + (t7 * t4);
    }
  }
  if ((bx * 8 + tx) < 18) {
    if ((by * 8 + ty) < 18) {
      p2[by * 576 + (ty * 72) + (bx * 8) + tx] = Clocal1_0;
    }
    if ((by * 8 + ty) < 18) {
      let i18: i32 = by * 576 + (ty * 72) + (bx * 8) + tx;
      p2[i18 + 18] = Clocal1_1;
    }
    if ((by * 8 + ty) < 17) {
      let i19: i32 = by * 576 + (ty * 72) + (bx * 8) + tx;
      p2[i19 + 36] = Clocal1_2;
    }
    if ((by * 8 + ty) < 17) {
      let i20: i32 = by * 576 + (ty * 72) + (bx * 8) + tx;
      p2[i20 + 54] = Clocal1_3;
    }
  }
}
