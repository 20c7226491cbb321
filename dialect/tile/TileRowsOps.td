// The ops of gemv kernels whose warps lie along rows. They share stream, unit and slice with the other gemv kernels;
// included by TileOps.td.
#ifndef GPTQC_DIALECT_TILE_TILEROWSOPS_TD
#define GPTQC_DIALECT_TILE_TILEROWSOPS_TD

def Tile_OpenShareOp : Tile_Op<"open_share"> {
  let summary = "the columns of X that the warps of one part of k share";
  let arguments = (ins Tile_SharedType:$shares);
  let results = (outs Tile_SliceType:$slice);
  let assemblyFormat = "$shares attr-dict `:` type($shares)";
}

def Tile_OpenExchangeOp : Tile_Op<"open_exchange"> {
  let summary = "where the warps that share rows, each with its part of k, add the sums of items up";
  let arguments = (ins Tile_SharedType:$buffer);
  let results = (outs Tile_ExchangeType:$exchange);
  let assemblyFormat = "$buffer attr-dict `:` type($buffer)";
}

def Tile_StartRowsOp : Tile_Op<"start_rows"> {
  let summary = "initialize the exchange, start to fill a warp's ring and the share of X";
  let description = [{ With `gather`, X is read element by element and through the permutation. }];
  let arguments = (ins Tile_StreamType:$stream, Tile_SliceType:$slice, Tile_ExchangeType:$exchange, Index:$tokens,
                       UnitAttr:$gather);
  let assemblyFormat = "$stream `,` $slice `,` $exchange `,` `tokens` $tokens attr-dict";
}

def Tile_FirstRowsOp : Tile_UnitBoundOp<"first_rows", "the first item of a warp">;
def Tile_RowsStepOp : Tile_UnitBoundOp<"rows_step", "from one item of a warp to its next">;

def Tile_NextRowsOp : Tile_Op<"next_rows"> {
  let summary = "wait for the next unit of the stream and its columns of X, start to copy later ones";
  let description = [{ With `gather`, X is read element by element and through the permutation. }];
  let arguments = (ins Tile_StreamType:$stream, Tile_SliceType:$slice, Index:$unit, Index:$tokens, UnitAttr:$gather);
  let results = (outs Tile_UnitType:$slot);
  let assemblyFormat = "$stream `,` $slice `,` `unit` $unit `,` `tokens` $tokens attr-dict";
}

def Tile_AccumulateRowsOp : Tile_Op<"accumulate_rows"> {
  let summary = "load X, dequantize all n16 tiles of a unit for `steps` steps, multiply, scale, add";
  let description = [{
    Constraints:
    - accumulate_rows_c1: the sums are [n16 tiles][m8 tiles][4] of f32, the steps a power of two.
  }];
  let arguments = (ins Tile_RegistersType:$sums, Tile_SliceType:$slice, Tile_UnitType:$slot, Index:$unit,
                       Index:$step, I64Attr:$steps);
  let assemblyFormat = [{
    $sums `,` $slice `,` $slot `,` `unit` $unit `,` `step` $step `of` $steps attr-dict `:` type($sums)
  }];
  let hasVerifier = 1;
}

def Tile_SettleAtOp : Tile_Op<"settle_at"> {
  let summary = "half way through an item, add the sums of the one before it up and store them";
  let arguments = (ins Tile_ExchangeType:$exchange, Tile_StreamType:$stream, Index:$unit, Index:$tokens);
  let assemblyFormat = "$exchange `,` $stream `,` `unit` $unit `,` `tokens` $tokens attr-dict";
}

def Tile_SendRowsOp : Tile_Op<"send_rows"> {
  let summary = "send a warp's sums of an item to their owners; store them where k has one part";
  let arguments = (ins Tile_ExchangeType:$exchange, Tile_RegistersType:$sums, Index:$item, Index:$tokens);
  let assemblyFormat = "$exchange `,` $sums `,` `item` $item `,` `tokens` $tokens attr-dict `:` type($sums)";
}

def Tile_SettleOp : Tile_Op<"settle"> {
  let summary = "add the sums of the last item up and store them";
  let arguments = (ins Tile_ExchangeType:$exchange, Index:$tokens);
  let assemblyFormat = "$exchange `,` `tokens` $tokens attr-dict";
}

#endif // GPTQC_DIALECT_TILE_TILEROWSOPS_TD
