// The ops of the tile dialect. Each prints as one call of one device function (templates/README.md).
#ifndef GPTQC_DIALECT_TILE_TILEOPS_TD
#define GPTQC_DIALECT_TILE_TILEOPS_TD

include "dialect/gptq/GptqDialect.td"
include "dialect/tile/TileDialect.td"
include "mlir/IR/SymbolInterfaces.td"

class Tile_Op<string mnemonic, list<Trait> traits = []> : Op<Tile_Dialect, mnemonic, traits>;
class Tile_EffectOp<string mnemonic, string text> : Tile_Op<mnemonic> {
  let summary = text;
  let assemblyFormat = "attr-dict";
}

//===-- The kernel and where a block stands ---------------------------------------------------------===//

def Tile_KernelOp : Tile_Op<"kernel", [Symbol, IsolatedFromAbove, NoRegionArguments, SingleBlock, NoTerminator]> {
  let summary = "one __global__ function";
  let description = [{
    Constraints:
    - kernel_c1: shared_bytes, once planned, covers every buffer.

    Example:
    ```mlir
    tile.kernel @gptqc_linear attributes {
      descriptor = #gptq.descriptor<"w4 g128 sym f16->f16 n4096 k4096 m9..16">,
      schedule = #gptq.schedule<"mma t64x16x128 warps4 kwarps2 stages4">,
      target = #gptq.target<"sm_90a">} { ... }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, Gptq_DescriptorAttr:$descriptor, Gptq_TargetAttr:$target,
                       Gptq_ScheduleAttr:$schedule, OptionalAttr<I64Attr>:$shared_bytes);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name attr-dict-with-keyword $body";
  let hasVerifier = 1;
}

def Tile_BlockIndexOp : Tile_Op<"block_index"> {
  let summary = "the block's place along an axis of the grid";
  let arguments = (ins Tile_AxisAttr:$axis);
  let results = (outs Index:$index);
  let assemblyFormat = "$axis attr-dict";
}

def Tile_EnterExpertOp : Tile_Op<"enter_expert"> {
  let summary = "find the expert of a token tile of the grid, and its place there; a block without one ends";
  let description = "Constraints: enter_expert_c1: it stands directly in a kernel of a grouped layer, once.";
  let arguments = (ins Index:$index);
  let results = (outs Index:$tile);
  let assemblyFormat = "$index attr-dict";
  let hasVerifier = 1;
}

class Tile_KTileOp<string mnemonic, string text> : Tile_Op<mnemonic> {
  let summary = text;
  let arguments = (ins Index:$split);
  let results = (outs Index:$tile);
  let assemblyFormat = "$split attr-dict";
}
def Tile_FirstKTileOp : Tile_KTileOp<"first_k_tile", "the first k tile of a split">;
def Tile_LastKTileOp : Tile_KTileOp<"last_k_tile", "the k tile behind the last one of a split">;

def Tile_AwaitPredecessorsOp : Tile_EffectOp<"await_predecessors", "wait for the kernels in front: what they write may be touched now">;

//===-- Storage -------------------------------------------------------------------------------------===//

def Tile_SharedOp : Tile_Op<"shared"> {
  let summary = "a buffer in shared memory";
  let description = [{
    Constraints:
    - shared_c1: the offset, once planned, is a multiple of 128.
    - shared_c2: it stands directly in a kernel.
    - shared_c3: one buffer per role.
  }];
  let arguments = (ins Tile_RoleAttr:$role, OptionalAttr<I64Attr>:$offset);
  let results = (outs Tile_SharedType:$buffer);
  let assemblyFormat = "$role attr-dict `:` type($buffer)";
  let hasVerifier = 1;
}

def Tile_AccumulatorOp : Tile_Op<"accumulator"> {
  let summary = "the fp32 sums of a thread, zero at first";
  let description = [{
    Constraints:
    - accumulator_c1: the element type is f32.
  }];
  let results = (outs Tile_RegistersType:$sums);
  let assemblyFormat = "attr-dict `:` type($sums)";
  let hasVerifier = 1;
}

//===-- Global to shared memory ---------------------------------------------------------------------===//

class Tile_CopyOp<string mnemonic, string what, string block, dag extra = (ins)> : Tile_Op<mnemonic> {
  let summary = "start to copy " # what # " of one k tile into a slot of a buffer";
  let arguments = !con((ins Tile_SharedType:$buffer, Index:$slot, Index:$block, Index:$k_tile), extra);
  let assemblyFormat = "$buffer `[` $slot `]` `,` " # block # " $block `,` `k` $k_tile attr-dict `:` type($buffer)";
}

def Tile_CopyWeightsOp : Tile_CopyOp<"copy_weights", "the planes of the weights", "`rows`">;
def Tile_CopyScalesOp : Tile_CopyOp<"copy_scales", "the scales and zero points", "`rows`">;
def Tile_CopyActivationsOp : Tile_CopyOp<"copy_activations", "the activations", "`tokens`", (ins UnitAttr:$gather)> {
  let description = [{
    With `gather`, element by element and through the permutation if the layer has one; else in 16-byte
    pieces.
  }];
}

def Tile_CommitOp : Tile_EffectOp<"commit", "close the group of copies started since the last commit">;

def Tile_WaitOp : Tile_Op<"wait"> {
  let summary = "wait until at most `pending` groups of this thread's copies are in flight";
  let arguments = (ins ConfinedAttr<I64Attr, [IntNonNegative]>:$pending);
  let assemblyFormat = "$pending attr-dict";
}

def Tile_BarrierOp : Tile_EffectOp<"barrier", "wait for all threads of the block">;

//===-- Shared memory to registers, and the products ------------------------------------------------===//

def Tile_LoadActivationsOp : Tile_Op<"load_activations"> {
  let summary = "load the B fragments of consecutive k16 steps of a warp";
  let description = [{
    Constraints:
    - load_activations_c1: the result is [steps][m8 tiles][2] of i32 with a power of two of steps.
  }];
  let arguments = (ins Tile_SharedType:$buffer, Index:$slot, Index:$step);
  let results = (outs Tile_RegistersType:$fragments);
  let assemblyFormat = [{
    $buffer `[` $slot `]` `,` `step` $step attr-dict `:` type($buffer) `->` type($fragments)
  }];
  let hasVerifier = 1;
}

def Tile_AccumulateOp : Tile_Op<"accumulate"> {
  let summary = "dequantize the A fragments of one n16 tile for the loaded steps, multiply, scale, add";
  let description = [{
    `tile` counts the warp's n16 tiles, `step` its k16 steps in the slot.

    Constraints:
    - accumulate_c1: the sums are [n16 tiles][m8 tiles][4] of f32, the fragments [steps][m8 tiles][2] of
      i32, with the same number of m8 tiles.
    - accumulate_c2: scaling in the fragments needs scales of the activation type.
  }];
  let arguments = (ins Tile_RegistersType:$sums, Tile_RegistersType:$fragments,
                       Tile_SharedType:$weights, Tile_SharedType:$scales, Index:$slot, Index:$tile,
                       Index:$k_tile, Index:$step, Tile_ScalingAttr:$scaling);
  let assemblyFormat = [{
    $sums `[` $tile `]` `,` $fragments `,` $weights `,` $scales `[` $slot `]` `,` `k` $k_tile `,`
    `step` $step `scaling` $scaling attr-dict
    `:` type($sums) `,` type($fragments) `,` type($weights) `,` type($scales)
  }];
  let hasVerifier = 1;
}

def Tile_SimtAccumulateOp : Tile_Op<"simt_accumulate"> {
  let summary = "add the products of one k16 step for a thread's row and the tokens of the tile";
  let arguments = (ins Tile_RegistersType:$sums, Index:$rows, Index:$tokens, Index:$k_tile);
  let assemblyFormat = "$sums `,` `rows` $rows `,` `tokens` $tokens `,` `k` $k_tile attr-dict `:` type($sums)";
}

//===-- Items of a persistent grid, clusters --------------------------------------------------------===//

class Tile_ItemOp<string mnemonic, string what> : Tile_Op<mnemonic> {
  let summary = what;
  let results = (outs Index:$item);
  let assemblyFormat = "attr-dict";
}
def Tile_FirstItemOp : Tile_ItemOp<"first_item", "the first item of the block's cluster">;
def Tile_LastItemOp : Tile_ItemOp<"last_item", "the item behind the last one of the launch">;
def Tile_ItemStepOp : Tile_ItemOp<"item_step", "from one item of a cluster to its next">;

def Tile_ClusterBarrierOp : Tile_EffectOp<"cluster_barrier", "wait for all threads of the cluster">;

def Tile_LeaveClusterOp : Tile_EffectOp<"leave_cluster", "wait until no block of the cluster needs this one's shared memory">;

//===-- Streaming and reducing warps (gemv) ---------------------------------------------------------===//

def Tile_SpecializeOp : Tile_Op<"specialize", [NoRegionArguments, SingleBlock, NoTerminator]> {
  let summary = "the streaming warps run the first region, the reducing warps the second";
  let regions = (region SizedRegion<1>:$streaming, SizedRegion<1>:$reducing);
  let hasCustomAssemblyFormat = 1; // `streaming` $streaming `reducing` $reducing attr-dict
}

def Tile_OpenStreamOp : Tile_Op<"open_stream"> {
  let summary = "a warp's stream over its k slice, through its ring";
  let arguments = (ins Tile_SharedType:$rings);
  let results = (outs Tile_StreamType:$stream);
  let assemblyFormat = "$rings attr-dict `:` type($rings)";
}

def Tile_OpenSliceOp : Tile_Op<"open_slice"> {
  let summary = "a warp's columns of the block's tokens";
  let arguments = (ins Tile_SharedType:$slices, Index:$tokens);
  let results = (outs Tile_SliceType:$slice);
  let assemblyFormat = "$slices `,` `tokens` $tokens attr-dict `:` type($slices)";
}

def Tile_StartStreamingOp : Tile_Op<"start_streaming"> {
  let summary = "start to fill a warp's ring and its slice of X";
  let description = [{ With `gather`, X is read element by element and through the permutation. }];
  let arguments = (ins Tile_StreamType:$stream, Tile_SliceType:$slice, Index:$tokens, UnitAttr:$gather);
  let assemblyFormat = "$stream `,` $slice `,` `tokens` $tokens attr-dict";
}

class Tile_UnitBoundOp<string mnemonic, string what> : Tile_Op<mnemonic> {
  let summary = what;
  let arguments = (ins Tile_StreamType:$stream);
  let results = (outs Index:$unit);
  let assemblyFormat = "$stream attr-dict";
}
def Tile_FirstUnitOp : Tile_UnitBoundOp<"first_unit", "the first unit of a warp's slice">;
def Tile_LastUnitOp : Tile_UnitBoundOp<"last_unit", "the unit behind the last one of a warp's slice">;

def Tile_NextUnitOp : Tile_Op<"next_unit"> {
  let summary = "wait for the next unit of the stream and start to copy a later one";
  let arguments = (ins Tile_StreamType:$stream);
  let results = (outs Tile_UnitType:$unit);
  let assemblyFormat = "$stream attr-dict";
}

def Tile_RewindOp : Tile_Op<"rewind"> {
  let summary = "back to the slice's first unit";
  let arguments = (ins Tile_SliceType:$slice);
  let assemblyFormat = "$slice attr-dict";
}
def Tile_AdvanceOp : Tile_Op<"advance"> {
  let summary = "on to the slice's next unit";
  let arguments = (ins Tile_SliceType:$slice);
  let assemblyFormat = "$slice attr-dict";
}

def Tile_LoadSliceOp : Tile_Op<"load_slice"> {
  let summary = "load the B fragments of consecutive k16 steps of the slice's unit";
  let description = [{
    Constraints:
    - load_slice_c1: the result is [steps][m8 tiles][2] of i32 with a power of two of steps.
  }];
  let arguments = (ins Tile_SliceType:$slice, Index:$step);
  let results = (outs Tile_RegistersType:$fragments);
  let assemblyFormat = "$slice `,` `step` $step attr-dict `:` type($fragments)";
  let hasVerifier = 1;
}

def Tile_AccumulateUnitOp : Tile_Op<"accumulate_unit"> {
  let summary = "dequantize all n16 tiles of a unit for the loaded steps, multiply, scale, add";
  let description = [{
    Constraints:
    - accumulate_unit_c1: the sums are [n16 tiles][m8 tiles][4] of f32, the fragments [steps][m8 tiles][2]
      of i32, with the same number of m8 tiles.
  }];
  let arguments = (ins Tile_RegistersType:$sums, Tile_RegistersType:$fragments, Tile_UnitType:$slot,
                       Index:$unit, Index:$step);
  let assemblyFormat = [{
    $sums `,` $fragments `,` $slot `,` `unit` $unit `,` `step` $step attr-dict
    `:` type($sums) `,` type($fragments)
  }];
  let hasVerifier = 1;
}

def Tile_OpenMailboxOp : Tile_Op<"open_mailbox"> {
  let summary = "where the streaming warps hand the sums of items to the reducing warps";
  let arguments = (ins Tile_SharedType:$buffer);
  let results = (outs Tile_MailboxType:$mailbox);
  let assemblyFormat = "$buffer attr-dict `:` type($buffer)";
}

class Tile_MailboxOp<string mnemonic, string what> : Tile_Op<mnemonic> {
  let summary = what;
  let arguments = (ins Tile_MailboxType:$mailbox);
  let assemblyFormat = "$mailbox attr-dict";
}
def Tile_InitializeMailboxOp : Tile_MailboxOp<"initialize_mailbox", "initialize the mailbox's barriers">;
def Tile_GiveBackOp : Tile_MailboxOp<"give_back", "let the streaming warps write the taken buffer again">;

def Tile_PostOp : Tile_Op<"post"> {
  let summary = "hand over a warp's sums of an item";
  let arguments = (ins Tile_MailboxType:$mailbox, Tile_RegistersType:$sums);
  let assemblyFormat = "$mailbox `,` $sums attr-dict `:` type($sums)";
}

def Tile_TakeOp : Tile_Op<"take"> {
  let summary = "wait for the sums of the next item";
  let arguments = (ins Tile_MailboxType:$mailbox);
  let results = (outs Tile_PostedType:$posted);
  let assemblyFormat = "$mailbox attr-dict";
}

def Tile_ReduceAndStoreOp : Tile_Op<"reduce_and_store"> {
  let summary = "add the k warps' sums up in order; bias, activation function, store";
  let arguments = (ins Tile_PostedType:$posted, Index:$item, Index:$tokens);
  let assemblyFormat = "$posted `,` `item` $item `,` `tokens` $tokens attr-dict";
}

def Tile_OpenMeetingOp : Tile_Op<"open_meeting"> {
  let summary = "where the blocks of a cluster, each with its part of k, add the sums of items up";
  let arguments = (ins Tile_SharedType:$buffer);
  let results = (outs Tile_MeetingType:$meeting);
  let assemblyFormat = "$buffer attr-dict `:` type($buffer)";
}

def Tile_InitializeMeetingOp : Tile_Op<"initialize_meeting"> {
  let summary = "initialize the meeting's barriers";
  let arguments = (ins Tile_MeetingType:$meeting);
  let assemblyFormat = "$meeting attr-dict";
}

def Tile_SendOp : Tile_Op<"send"> {
  let summary = "add the k warps' sums up in order and send them to the item's owner";
  let arguments = (ins Tile_MeetingType:$meeting, Tile_PostedType:$posted, Index:$tokens);
  let assemblyFormat = "$meeting `,` $posted `,` `tokens` $tokens attr-dict";
}

def Tile_StoreMetOp : Tile_Op<"store_met"> {
  let summary = "the owner adds the blocks' sums up in order; bias, activation function, store";
  let arguments = (ins Tile_MeetingType:$meeting, Index:$item, Index:$tokens);
  let assemblyFormat = "$meeting `,` `item` $item `,` `tokens` $tokens attr-dict";
}

include "dialect/tile/TileRowsOps.td"

//===-- Feeding and multiplying warpgroups (wgmma) --------------------------------------------------===//

def Tile_SplitWarpgroupsOp : Tile_Op<"split_warpgroups", [NoRegionArguments, SingleBlock, NoTerminator]> {
  let summary = "one warpgroup runs the first region, the others the second";
  let regions = (region SizedRegion<1>:$feeding, SizedRegion<1>:$multiplying);
  let hasCustomAssemblyFormat = 1; // `feeding` $feeding `multiplying` $multiplying attr-dict
}

def Tile_FeedOp : Tile_Op<"feed"> {
  let summary = "load the activations of all items through the copy engine";
  let arguments = (ins Tile_SharedType:$rings);
  let assemblyFormat = "$rings attr-dict `:` type($rings)";
}

def Tile_OpenConsumerOp : Tile_Op<"open_consumer"> {
  let summary = "start to copy a warp's weights and wait for the ring of activations";
  let arguments = (ins Tile_SharedType:$rings);
  let results = (outs Tile_ConsumerType:$consumer);
  let assemblyFormat = "$rings attr-dict `:` type($rings)";
}

class Tile_ConsumerOp<string mnemonic, string what, dag extra = (ins), string format = ""> : Tile_Op<mnemonic> {
  let summary = what;
  let arguments = !con((ins Tile_ConsumerType:$consumer), extra);
  let assemblyFormat = "$consumer " # format # " attr-dict";
}
def Tile_FirstRoundOp : Tile_ConsumerOp<"first_round", "the first k tile of the block's split"> {
  let results = (outs Index:$round);
}
def Tile_LastRoundOp : Tile_ConsumerOp<"last_round", "the k tile behind the last one of the block's split"> {
  let results = (outs Index:$round);
}
def Tile_StartItemOp : Tile_ConsumerOp<"start_item", "make the first fragments of an item">;
def Tile_MultiplyRoundOp : Tile_ConsumerOp<"multiply_round", "add the products of one k tile; they may be in flight",
    (ins Tile_RegistersType:$sums, Index:$round), "`,` $sums `:` type($sums) `,` `k` $round"> {
  let hasVerifier = 1;
}
def Tile_FinishItemOp : Tile_ConsumerOp<"finish_item", "wait for the products in flight",
    (ins Tile_RegistersType:$sums), "`,` $sums `:` type($sums)">;
def Tile_StoreItemOp : Tile_Op<"store_item"> {
  let summary = "add partial sums up in order; bias, activation function, conversion, store";
  let arguments = (ins Tile_ConsumerType:$consumer, Tile_RegistersType:$sums, Tile_SharedType:$rings, Index:$item);
  let assemblyFormat = [{
    $consumer `,` $sums `,` $rings `,` `item` $item attr-dict `:` type($sums) `,` type($rings)
  }];
}

//===-- The end of a tile ---------------------------------------------------------------------------===//

class Tile_CollectOp<string mnemonic> : Tile_Op<mnemonic> {
  let arguments = (ins Tile_SharedType:$buffer, Tile_RegistersType:$sums);
  let assemblyFormat = "$sums `into` $buffer attr-dict `:` type($sums) `into` type($buffer)";
}

def Tile_ReduceWarpsOp : Tile_CollectOp<"reduce_warps"> {
  let summary = "add the sums of the k warps up in shared memory, in order";
}
def Tile_SimtCollectOp : Tile_CollectOp<"simt_collect"> {
  let summary = "write the sums of each thread's row to shared memory";
}

def Tile_ReduceSplitKOp : Tile_Op<"reduce_split_k"> {
  let summary = "add the splits of a tile up in order; all blocks but the last to arrive end here";
  let arguments = (ins Tile_SharedType:$buffer);
  let assemblyFormat = "$buffer attr-dict `:` type($buffer)";
}

def Tile_StoreOp : Tile_Op<"store"> {
  let summary = "bias, activation function, conversion and store of the tile of Y";
  let arguments = (ins Tile_SharedType:$buffer, Index:$rows, Index:$tokens);
  let assemblyFormat = "$buffer `,` `rows` $rows `,` `tokens` $tokens attr-dict `:` type($buffer)";
}

#endif // GPTQC_DIALECT_TILE_TILEOPS_TD
