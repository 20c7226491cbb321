// RUN: gptqc-opt %s -gptqc-lower-to-tile -gptqc-pipeline-loads | FileCheck %s
// RUN: sed -e s/stages4/stages1/ -e s/sm_90a/sm_75/ %s | gptqc-opt -gptqc-lower-to-tile -o %t.before
// RUN: gptqc-opt %t.before -gptqc-pipeline-loads -o %t.after
// RUN: diff %t.before %t.after

// CHECK: %[[W:.*]] = tile.shared <weights> : <4 slots, 4096 bytes>
// CHECK: %[[S:.*]] = tile.shared <scales> : <4 slots, 128 bytes>
// CHECK: %[[A:.*]] = tile.shared <activations> : <4 slots, 2048 bytes>
// CHECK: tile.shared <sums> : <1 slots, 2176 bytes>
// CHECK: %[[FIRST:.*]] = tile.first_k_tile
// CHECK: %[[LAST:.*]] = tile.last_k_tile

// Three tiles ahead.
// CHECK: %[[AHEAD:.*]] = arith.constant 3
// CHECK: scf.for %[[STAGE:.*]] = %{{.*}} to %[[AHEAD]]
// CHECK: %[[KT0:.*]] = arith.addi %[[FIRST]], %[[STAGE]] {tile.name = "kt"}
// CHECK: %[[IN0:.*]] = arith.cmpi slt, %[[KT0]], %[[LAST]]
// CHECK: scf.if %[[IN0]] {
// CHECK-NEXT: tile.copy_weights %[[W]][%[[STAGE]]], rows %{{.*}}, k %[[KT0]]
// CHECK-NEXT: tile.copy_scales %[[S]][%[[STAGE]]]
// CHECK-NEXT: tile.copy_activations %[[A]][%[[STAGE]]]
// CHECK-NEXT: }
// CHECK-NEXT: tile.commit
// CHECK: {tile.name = "stage", tile.unroll}

// CHECK: scf.for %[[KT:.*]] = %[[FIRST]] to %[[LAST]]
// CHECK-NEXT: tile.wait 2
// CHECK-NEXT: tile.barrier
// CHECK: %[[NEXT:.*]] = arith.addi %[[KT]], %{{.*}} {tile.name = "next"}
// CHECK: %[[IN:.*]] = arith.cmpi slt, %[[NEXT]], %[[LAST]]
// CHECK: scf.if %[[IN]] {
// CHECK: %[[FAR:.*]] = arith.remsi %{{.*}} {tile.name = "next_stage"}
// CHECK: tile.copy_weights %[[W]][%[[FAR]]], rows %{{.*}}, k %[[NEXT]]
// CHECK: tile.commit
// CHECK: %[[SLOT:.*]] = arith.remsi %{{.*}} {tile.name = "stage"}
// CHECK: tile.load_activations %[[A]][%[[SLOT]]]
// CHECK: tile.accumulate {{.*}} %[[S]][%[[SLOT]]], k %[[KT]]
// CHECK-NOT: tile.barrier
// CHECK: tile.reduce_warps
func.func @pipelined(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %y = gptq.linear %x {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m1..1">, schedule = #gptq.schedule<"mma t64x8x128 warps4 stages4">, target = #gptq.target<"sm_90a">} : tensor<?x4096xf16> -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}
