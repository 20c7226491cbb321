// A warpgroup without a fragment of its own.
tile.kernel @wgmma attributes {
  descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m129..256">,
  schedule = #gptq.schedule<"wgmma t64x8x64 warps8 stages6 splitk2 multicast2">,
  target = #gptq.target<"sm_90a">
} {
  %rings = tile.shared <rings> : !tile.shared<1 slots, 131072 bytes>
  tile.split_warpgroups feeding {
    tile.feed %rings : !tile.shared<1 slots, 131072 bytes>
  } multiplying {
    %consumer = tile.open_consumer %rings : !tile.shared<1 slots, 131072 bytes>
    %first = tile.first_item
    %last = tile.last_item
    %step = tile.item_step
    %acc = tile.accumulator : !tile.registers<1x64xf32>
    tile.start_item %consumer
    %round = tile.first_round %consumer
    %end = tile.last_round %consumer
    tile.multiply_round %consumer, %acc : !tile.registers<1x64xf32>, k %round
    tile.finish_item %consumer, %acc : !tile.registers<1x64xf32>
    tile.store_item %consumer, %acc, %rings, item %first : !tile.registers<1x64xf32>, !tile.shared<1 slots, 131072 bytes>
  }
  tile.leave_cluster
}
