// The error behind a region that defines what was used before it.
module {
  tile.kernel @forward attributes {descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n64 k128 m1..1">, schedule = #gptq.schedule<"gemv t16x8x128 warps4 stages2">, target = #gptq.target<"sm_90a">} {
    %0 = tile.shared <sums> : <1 slots, 2048 bytes>
    tile.store %0, rows %rows, tokens %rows : <1 slots, 2048 bytes>
    tile.specialize streaming {
      %rows = tile.block_index <rows>
    } reducing {
      tile.none
    }
  }
}
