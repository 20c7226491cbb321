// RUN: gptqc-opt %s | gptqc-opt | FileCheck %s

// CHECK-LABEL: tile.kernel @all attributes {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">
tile.kernel @all attributes {
  descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">,
  schedule = #gptq.schedule<"mma t64x16x128 warps4 kwarps2 stages4 splitk2">,
  target = #gptq.target<"sm_90a">
} {
  // CHECK-NEXT: %[[W:.*]] = tile.shared <weights> : <4 slots, 4096 bytes>
  %w = tile.shared <weights> : !tile.shared<4 slots, 4096 bytes>
  // CHECK-NEXT: %[[S:.*]] = tile.shared <scales> {offset = 16384 : i64} : <4 slots, 128 bytes>
  %s = tile.shared <scales> {offset = 16384} : !tile.shared<4 slots, 128 bytes>
  %a = tile.shared <activations> : !tile.shared<4 slots, 4096 bytes>
  %t = tile.shared <sums> : !tile.shared<1 slots, 8704 bytes>
  // CHECK: tile.block_index <rows>
  %n = tile.block_index <rows>
  // CHECK-NEXT: tile.block_index <tokens>
  %m = tile.block_index <tokens>
  // CHECK-NEXT: %[[SPLIT:.*]] = tile.block_index <split>
  %split = tile.block_index <split>
  // CHECK-NEXT: tile.first_k_tile %[[SPLIT]]
  %first = tile.first_k_tile %split
  // CHECK-NEXT: tile.last_k_tile %[[SPLIT]]
  %last = tile.last_k_tile %split
  // CHECK-NEXT: %[[ACC:.*]] = tile.accumulator : <2x2x4xf32>
  %acc = tile.accumulator : !tile.registers<2x2x4xf32>
  // CHECK: tile.copy_weights %[[W]][{{.*}}], rows {{.*}}, k {{.*}} : <4 slots, 4096 bytes>
  tile.copy_weights %w[%split], rows %n, k %first : !tile.shared<4 slots, 4096 bytes>
  // CHECK-NEXT: tile.copy_scales %[[S]]
  tile.copy_scales %s[%split], rows %n, k %first : !tile.shared<4 slots, 128 bytes>
  // CHECK-NEXT: tile.copy_activations {{.*}}, tokens {{.*}}, k {{.*}} {gather} :
  tile.copy_activations %a[%split], tokens %m, k %first {gather} : !tile.shared<4 slots, 4096 bytes>
  // CHECK-NEXT: tile.commit
  tile.commit
  // CHECK-NEXT: tile.wait 2
  tile.wait 2
  // CHECK-NEXT: tile.barrier
  tile.barrier
  // CHECK-NEXT: %[[B:.*]] = tile.load_activations {{.*}}, step {{.*}} : <4 slots, 4096 bytes> -> <4x2x2xi32>
  %b = tile.load_activations %a[%split], step %first : !tile.shared<4 slots, 4096 bytes> -> !tile.registers<4x2x2xi32>
  // CHECK-NEXT: tile.accumulate %[[ACC]][{{.*}}], %[[B]], %[[W]], %[[S]][{{.*}}], k {{.*}}, step {{.*}} scaling <fragments>
  tile.accumulate %acc[%first], %b, %w, %s[%split], k %first, step %first scaling <fragments>
    : !tile.registers<2x2x4xf32>, !tile.registers<4x2x2xi32>, !tile.shared<4 slots, 4096 bytes>, !tile.shared<4 slots, 128 bytes>
  // CHECK-NEXT: tile.simt_accumulate %[[ACC]], rows {{.*}}, tokens {{.*}}, k
  tile.simt_accumulate %acc, rows %n, tokens %m, k %first : !tile.registers<2x2x4xf32>
  // CHECK-NEXT: tile.reduce_warps %[[ACC]] into
  tile.reduce_warps %acc into %t : !tile.registers<2x2x4xf32> into !tile.shared<1 slots, 8704 bytes>
  // CHECK-NEXT: tile.simt_collect %[[ACC]] into
  tile.simt_collect %acc into %t : !tile.registers<2x2x4xf32> into !tile.shared<1 slots, 8704 bytes>
  // CHECK-NEXT: tile.reduce_split_k
  tile.reduce_split_k %t : !tile.shared<1 slots, 8704 bytes>
  // CHECK-NEXT: tile.store {{.*}}, rows {{.*}}, tokens
  tile.store %t, rows %n, tokens %m : !tile.shared<1 slots, 8704 bytes>
  // CHECK-NEXT: tile.specialize streaming {
  // CHECK-NEXT:   tile.barrier
  // CHECK-NEXT: } reducing {
  // CHECK-NEXT: }
  tile.specialize streaming {
    tile.barrier
  } reducing {
  }
}

// CHECK-LABEL: tile.kernel @wgmma
tile.kernel @wgmma attributes {
  descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m129..256">,
  schedule = #gptq.schedule<"wgmma t128x128x128 warps8 stages6 splitk2 multicast2">,
  target = #gptq.target<"sm_90a">
} {
  // CHECK: %[[RINGS:.*]] = tile.shared <rings> : <1 slots, 131072 bytes>
  %rings = tile.shared <rings> : !tile.shared<1 slots, 131072 bytes>
  // CHECK-NEXT: tile.split_warpgroups feeding {
  tile.split_warpgroups feeding {
    // CHECK-NEXT: tile.feed %[[RINGS]] : <1 slots, 131072 bytes>
    tile.feed %rings : !tile.shared<1 slots, 131072 bytes>
  // CHECK-NEXT: } multiplying {
  } multiplying {
    // CHECK-NEXT: %[[CONSUMER:.*]] = tile.open_consumer %[[RINGS]] : <1 slots, 131072 bytes>
    %consumer = tile.open_consumer %rings : !tile.shared<1 slots, 131072 bytes>
    // CHECK-NEXT: tile.first_item
    %first = tile.first_item
    // CHECK-NEXT: tile.last_item
    %last = tile.last_item
    // CHECK-NEXT: tile.item_step
    %step = tile.item_step
    // CHECK-NEXT: %[[ACC:.*]] = tile.accumulator : <1x64xf32>
    %acc = tile.accumulator : !tile.registers<1x64xf32>
    // CHECK-NEXT: tile.start_item %[[CONSUMER]]
    tile.start_item %consumer
    // CHECK-NEXT: %[[ROUND:.*]] = tile.first_round %[[CONSUMER]]
    %round = tile.first_round %consumer
    // CHECK-NEXT: tile.last_round %[[CONSUMER]]
    %end = tile.last_round %consumer
    // CHECK-NEXT: tile.multiply_round %[[CONSUMER]], %[[ACC]] : <1x64xf32>, k %[[ROUND]]
    tile.multiply_round %consumer, %acc : !tile.registers<1x64xf32>, k %round
    // CHECK-NEXT: tile.finish_item %[[CONSUMER]], %[[ACC]] : <1x64xf32>
    tile.finish_item %consumer, %acc : !tile.registers<1x64xf32>
    // CHECK-NEXT: tile.store_item %[[CONSUMER]], %[[ACC]], %[[RINGS]], item %{{.*}} : <1x64xf32>, <1 slots, 131072 bytes>
    tile.store_item %consumer, %acc, %rings, item %first : !tile.registers<1x64xf32>, !tile.shared<1 slots, 131072 bytes>
  }
  // CHECK: tile.leave_cluster
  tile.leave_cluster
}

// CHECK-LABEL: tile.kernel @grouped
tile.kernel @grouped attributes {
  descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 experts8 m9..16">,
  schedule = #gptq.schedule<"mma t64x8x128 warps4 kwarps2 stages4">,
  target = #gptq.target<"sm_90a">
} {
  // CHECK-NEXT: %[[M:.*]] = tile.block_index <tokens>
  %m = tile.block_index <tokens>
  // CHECK-NEXT: tile.enter_expert %[[M]]
  %e = tile.enter_expert %m
}

// CHECK-LABEL: tile.kernel @rows
tile.kernel @rows attributes {
  descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">,
  schedule = #gptq.schedule<"gemv t128x16x128 warps8 kwarps2 stages6 splitk4">,
  target = #gptq.target<"sm_90a">
} {
  %r = tile.shared <weights> : !tile.shared<48 slots, 2112 bytes>
  %a = tile.shared <activations> : !tile.shared<2 slots, 16640 bytes>
  %e = tile.shared <splits> : !tile.shared<1 slots, 16496 bytes>
  %m = tile.block_index <tokens>
  %stream = tile.open_stream %r : !tile.shared<48 slots, 2112 bytes>
  // CHECK: %[[SHARE:.*]] = tile.open_share %{{.*}} : <2 slots, 16640 bytes>
  %share = tile.open_share %a : !tile.shared<2 slots, 16640 bytes>
  // CHECK-NEXT: %[[EXCHANGE:.*]] = tile.open_exchange
  %exchange = tile.open_exchange %e : !tile.shared<1 slots, 16496 bytes>
  // CHECK-NEXT: tile.start_rows %{{.*}}, %[[SHARE]], %[[EXCHANGE]], tokens %{{.*}} {gather}
  tile.start_rows %stream, %share, %exchange, tokens %m {gather}
  // CHECK-NEXT: tile.first_rows
  %first = tile.first_rows %stream
  // CHECK-NEXT: tile.rows_step
  %step = tile.rows_step %stream
  %acc = tile.accumulator : !tile.registers<2x2x4xf32>
  // CHECK: tile.settle_at %[[EXCHANGE]], %{{.*}}, unit %{{.*}}, tokens
  tile.settle_at %exchange, %stream, unit %first, tokens %m
  // CHECK-NEXT: %[[SLOT:.*]] = tile.next_rows %{{.*}}, %[[SHARE]], unit %{{.*}}, tokens %{{.*}} {gather}
  %slot = tile.next_rows %stream, %share, unit %first, tokens %m {gather}
  // CHECK-NEXT: tile.accumulate_rows %{{.*}}, %[[SHARE]], %{{.*}}, unit %{{.*}}, step %{{.*}} of 8 : <2x2x4xf32>
  tile.accumulate_rows %acc, %share, %slot, unit %first, step %step of 8 : !tile.registers<2x2x4xf32>
  // CHECK-NEXT: tile.send_rows %[[EXCHANGE]], %{{.*}}, item %{{.*}}, tokens %{{.*}} : <2x2x4xf32>
  tile.send_rows %exchange, %acc, item %first, tokens %m : !tile.registers<2x2x4xf32>
  // CHECK-NEXT: tile.settle %[[EXCHANGE]], tokens
  tile.settle %exchange, tokens %m
}
