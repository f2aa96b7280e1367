@group(0) @binding(0) var<storage, read> p0: array<vec4f>;
@group(0) @binding(1) var<storage, read> p1: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> p2: array<vec4f>;
fn is_nan_vec4f(a: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(a) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}
fn keep_nan_vec4f(a: vec4f, b: vec4f) -> vec4f {
  return select(b, a, is_nan_vec4f(a));
}
@compute @workgroup_size(64, 1, 1)
fn injective(@builtin(workgroup_id) block: vec3u, @builtin(local_invocation_id) thread: vec3u) {
  let bx: i32 = i32(block.x);
  let tx: i32 = i32(thread.x);
  if ((bx * 64 + tx) < 250) {
    let t1: vec4f = p0[bx * 64 + tx];
    let t2: vec4f = p1[bx * 64 + tx];
    let v1: vec4f = (t1 * t2) + t1;
    p2[bx * 64 + tx] = keep_nan_vec4f(v1, max(v1, vec4f(0.0)));
  }
}
