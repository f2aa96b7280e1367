@group(0) @binding(0) var<storage, read> p0: array<f32>;
@group(0) @binding(1) var<storage, read> p1: array<f32>;
@group(0) @binding(2) var<storage, read_write> p2: array<f32>;
@compute @workgroup_size(3, 9, 1)
fn convolution(@builtin(workgroup_id) block: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let bx: i32 = i32(block.x);
  let tx: i32 = i32(thread.x);
  let ty: i32 = i32(thread.y);
  var Ylocal1_0: vec4f;
  Ylocal1_0 = select(Ylocal1_0, vec4f(0.0), ((vec4i(tx * 4) + vec4i(0, 1, 2, 3)) < vec4i(9)));
  let i2: i32 = tx * 4;
  let i3: vec4i = vec4i(i2) + vec4i(0, 1, 2, 3);
  let b1: vec4<bool> = vec4i(1) <= i3;
  let b2: vec4<bool> = i3 <= vec4i(9);
  let i4: i32 = ty * 9 + i2;
  let b4: vec4<bool> = i3 < vec4i(9);
  let i7: i32 = bx * 45;
  let b5: vec4<bool> = (vec4i(i2 + 1) + vec4i(0, 1, 2, 3)) <= vec4i(9);
  let b7: vec4<bool> = (vec4i(i2) + vec4i(0, 1, 2, 3)) < vec4i(9);
  let b8: vec4<bool> = (vec4i(i2 + 2) + vec4i(0, 1, 2, 3)) <= vec4i(9);
  for (var k1: i32 = 0; k1 < 5; k1++) {
    let i5: i32 = i4 + (k1 * 81);
    let i9: i32 = i7 + (k1 * 9);
    for (var k2: i32 = 0; k2 < 3; k2++) {
      let i1: i32 = ty + k2;
      let b3: vec4<bool> = (vec4<bool>((1 <= i1) && (i1 <= 9)) & b1) & b2;
      let i6: i32 = i5 + (k2 * 9);
      let t1: vec4f = vec4f(p0[i6 - 10], p0[i6 - 9], p0[i6 - 8], p0[i6 - 7]);
      let t2: f32 = p1[i9 + (k2 * 3)];
      Ylocal1_0 = select(Ylocal1_0, (Ylocal1_0 + (select(vec4f(0.0), select(vec4f(0.0), t1, (b4 & b3)), b3) * t2)), b4);
      let b6: vec4<bool> = vec4<bool>((1 <= i1) && (i1 <= 9)) & b5;
      let t3: vec4f = vec4f(p0[i6 - 9], p0[i6 - 8], p0[i6 - 7], p0[i6 - 6]);
      let i10: i32 = i9 + (k2 * 3);
      let t4: f32 = p1[i10 + 1];
      Ylocal1_0 = select(Ylocal1_0, (Ylocal1_0 + (select(vec4f(0.0), select(vec4f(0.0), t3, (b7 & b6)), b6) * t4)), b7);
      let b9: vec4<bool> = vec4<bool>((1 <= i1) && (i1 <= 9)) & b8;
      let t5: vec4f = vec4f(p0[i6 - 8], p0[i6 - 7], p0[i6 - 6], p0[i6 - 5]);
      let t6: f32 = p1[i10 + 2];
      Ylocal1_0 = select(Ylocal1_0, (Ylocal1_0 + (select(vec4f(0.0), select(vec4f(0.0), t5, (b7 & b9)), b9) * t6)), b7);
    }
  }
  let v1: vec4f = Ylocal1_0;
  p2[bx * 81 + (ty * 9) + i2] = v1.x;
  let i11: i32 = bx * 81 + (ty * 9) + i2;
  if (tx < 2) {
    p2[i11 + 1] = v1.y;
  }
  if (tx < 2) {
    p2[i11 + 2] = v1.z;
  }
  if (tx < 2) {
    p2[i11 + 3] = v1.w;
  }
}
