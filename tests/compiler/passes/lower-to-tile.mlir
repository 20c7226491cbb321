// RUN: gptqc-opt %s -split-input-file -gptqc-lower-to-tile -verify-diagnostics | FileCheck %s

// CHECK: tile.kernel @mma attributes
// CHECK: %[[W:.*]] = tile.shared <weights> : <1 slots, 4096 bytes>
// CHECK: %[[S:.*]] = tile.shared <scales> : <1 slots, 128 bytes>
// CHECK: %[[A:.*]] = tile.shared <activations> : <1 slots, 4096 bytes>
// CHECK: %[[T:.*]] = tile.shared <sums> : <1 slots, 8704 bytes>
// CHECK: %[[N:.*]] = tile.block_index <rows>
// CHECK: %[[M:.*]] = tile.block_index <tokens>
// CHECK: %[[SPLIT:.*]] = tile.block_index <split>
// CHECK: %[[FIRST:.*]] = tile.first_k_tile %[[SPLIT]]
// CHECK: %[[LAST:.*]] = tile.last_k_tile %[[SPLIT]]
// CHECK: %[[ACC:.*]] = tile.accumulator : <2x2x4xf32>
// CHECK: scf.for %[[KT:.*]] = %[[FIRST]] to %[[LAST]]
// CHECK: tile.copy_weights %[[W]][%[[ZERO:.*]]], rows %[[N]], k %[[KT]]
// CHECK: tile.copy_scales %[[S]][%[[ZERO]]], rows %[[N]], k %[[KT]]
// CHECK: tile.copy_activations %[[A]][%[[ZERO]]], tokens %[[M]], k %[[KT]] :
// CHECK: tile.commit
// CHECK-NEXT: tile.wait 0
// CHECK-NEXT: tile.barrier
// CHECK: scf.for %[[STEP:.*]] =
// CHECK: %[[B:.*]] = tile.load_activations %[[A]][%[[ZERO]]], step %[[STEP]] : <1 slots, 4096 bytes> -> <4x2x2xi32>
// CHECK: scf.for %[[TILE:.*]] =
// CHECK: tile.accumulate %[[ACC]][%[[TILE]]], %[[B]], %[[W]], %[[S]][%[[ZERO]]], k %[[KT]], step %[[STEP]] scaling <sums>
// CHECK: {tile.name = "t", tile.unroll}
// CHECK: {tile.name = "step", tile.unroll = 1 : i64}
// CHECK: tile.barrier
// CHECK: {tile.name = "kt"}
// CHECK: tile.reduce_warps %[[ACC]] into %[[T]]
// CHECK-NEXT: tile.reduce_split_k %[[T]]
// CHECK-NEXT: tile.store %[[T]], rows %[[N]], tokens %[[M]]
func.func @mma(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">, schedule = #gptq.schedule<"mma t64x16x128 warps4 kwarps2 stages4 splitk2">, target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

// Act-order gathers, asymmetric scales carry zero points (48 bytes a row), one k warp and split need no
// reduction over splits, and 4 token fragments put the scales into the fragments.
// CHECK: tile.kernel @gathered
// CHECK: tile.shared <scales> : <1 slots, 192 bytes>
// CHECK: tile.copy_activations {{.*}} {gather}
// CHECK: scaling <fragments>
// CHECK-NOT: tile.reduce_split_k
// CHECK: tile.store
func.func @gathered(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 asym actorder f16->f16 n4096 k4096 m17..32">, schedule = #gptq.schedule<"mma t64x32x128 warps4 stages3 xvec2">, target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

// CHECK: tile.kernel @simt
// CHECK-NOT: tile.copy
// CHECK: %[[ACC:.*]] = tile.accumulator : <4xf32>
// CHECK: tile.simt_accumulate %[[ACC]]
// CHECK: tile.simt_collect %[[ACC]]
// CHECK-NEXT: tile.store
func.func @simt(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">, schedule = #gptq.schedule<"simt t128x4x16 warps4 stages1">, target = #gptq.target<"sm_75">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

func.func @unscheduled(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  // expected-error @+1 {{has no schedule; run gptqc-assign-schedule first}}
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g32 sym f16->f16 n64 k64 m1..1">, target = #gptq.target<"sm_75">} : tensor<?x64xf16> -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// A warpgroup that feeds, the others multiply item after item; two blocks of a cluster share X.
// CHECK: tile.kernel @wgmma
// CHECK: %[[RINGS:.*]] = tile.shared <rings> : <1 slots, 231264 bytes>
// CHECK-NEXT: tile.split_warpgroups feeding {
// CHECK-NEXT: tile.feed %[[RINGS]]
// CHECK-NEXT: } multiplying {
// CHECK-NEXT: %[[CONSUMER:.*]] = tile.open_consumer %[[RINGS]]
// CHECK: %[[LAST:.*]] = tile.last_item
// CHECK-NEXT: %[[FIRST:.*]] = tile.first_item
// CHECK-NEXT: %[[STEP:.*]] = tile.item_step
// CHECK-NEXT: scf.for %[[ITEM:.*]] = %[[FIRST]] to %[[LAST]] step %[[STEP]]
// CHECK-NEXT: %[[ACC:.*]] = tile.accumulator : <1x128xf32>
// CHECK-NEXT: tile.start_item %[[CONSUMER]]
// CHECK: scf.for %[[ROUND:.*]] =
// CHECK-NEXT: tile.multiply_round %[[CONSUMER]], %[[ACC]] : <1x128xf32>, k %[[ROUND]]
// CHECK: tile.finish_item %[[CONSUMER]], %[[ACC]]
// CHECK-NEXT: tile.store_item %[[CONSUMER]], %[[ACC]], %[[RINGS]], item %[[ITEM]]
// CHECK: tile.leave_cluster
func.func @wgmma(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m513..1024">, schedule = #gptq.schedule<"wgmma t128x256x128 warps8 stages6 multicast2">, target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}
