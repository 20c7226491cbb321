// The tile dialect, its types and enums: how a kernel computes, one op per call of a device function.
#ifndef GPTQC_DIALECT_TILE_TILEDIALECT_TD
#define GPTQC_DIALECT_TILE_TILEDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def Tile_Dialect : Dialect {
  let name = "tile";
  let cppNamespace = "::gptqc::tile";
  let summary = "Tiled kernels: how to compute";
  let description = [{
    A kernel is a list of calls of the device functions in templates/ under scf loops. Values are index
    arithmetic, shared-memory buffers and register arrays; buffers and arrays are written in place, so
    every op that touches one keeps its place in the order.

    Two attributes of this dialect may stand on ops of others: `tile.name` (the variable that the emitter
    declares for a loop counter or an arithmetic result) and `tile.unroll` on an scf.for (a unit: the
    whole loop; an i64: that factor).
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  let dependentDialects = ["::gptqc::gptq::GptqDialect"];
  let extraClassDeclaration = [{
    static constexpr ::llvm::StringLiteral getNameAttrName() { return "tile.name"; }
    static constexpr ::llvm::StringLiteral getUnrollAttrName() { return "tile.unroll"; }
  }];
}

class Tile_Type<string className, string keyword> : TypeDef<Tile_Dialect, className> {
  let mnemonic = keyword;
  let genVerifyDecl = 1;
}

def Tile_SharedType : Tile_Type<"Shared", "shared"> {
  let summary = "a shared-memory buffer: `slots` pipeline slots of `bytes` bytes each";
  let parameters = (ins "int64_t":$slots, "int64_t":$bytes);
  let assemblyFormat = "`<` $slots `slots` `,` $bytes `bytes` `>`";
}

def Tile_RegistersType : Tile_Type<"Registers", "registers"> {
  let summary = "an array in registers of f32 or i32, e.g. !tile.registers<2x2x4xf32>";
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$element);
  let hasCustomAssemblyFormat = 1;
}

class Tile_StateType<string className, string keyword, string what> : Tile_Type<className, keyword> {
  let genVerifyDecl = 0;
  let summary = what;
}

def Tile_StreamType : Tile_StateType<"Stream", "stream", "a warp's stream of weight units">;
def Tile_SliceType : Tile_StateType<"Slice", "slice", "a warp's columns of X">;
def Tile_UnitType : Tile_StateType<"Unit", "unit", "a weight unit that has arrived">;
def Tile_MailboxType : Tile_StateType<"Mailbox", "mailbox", "where warps hand over the sums of items">;
def Tile_MeetingType : Tile_StateType<"Meeting", "meeting", "where the blocks of a cluster add their sums up">;
def Tile_PostedType : Tile_StateType<"Posted", "posted", "the sums of one item, of all k warps">;
def Tile_ExchangeType : Tile_StateType<"Exchange", "exchange", "where warps that share rows add their sums up">;
def Tile_ConsumerType : Tile_StateType<"Consumer", "consumer", "a warpgroup that multiplies">;

class Tile_Enum<string className, string text, list<I32EnumAttrCase> cases>
    : I32EnumAttr<className, text, cases> {
  let cppNamespace = "::gptqc::tile";
  let genSpecializedAttr = 0;
}
class Tile_EnumAttr<I32EnumAttr enum, string keyword> : EnumAttr<Tile_Dialect, enum, keyword> {
  let assemblyFormat = "`<` $value `>`";
}

def Tile_Axis : Tile_Enum<"Axis", "an axis of the grid", [
  I32EnumAttrCase<"Rows", 0, "rows">, I32EnumAttrCase<"Tokens", 1, "tokens">,
  I32EnumAttrCase<"Split", 2, "split">]>;
def Tile_AxisAttr : Tile_EnumAttr<Tile_Axis, "axis">;

def Tile_Role : Tile_Enum<"Role", "what a shared-memory buffer holds", [
  I32EnumAttrCase<"Weights", 0, "weights">, I32EnumAttrCase<"Scales", 1, "scales">,
  I32EnumAttrCase<"Activations", 2, "activations">, I32EnumAttrCase<"Sums", 3, "sums">,
  I32EnumAttrCase<"Splits", 4, "splits">, I32EnumAttrCase<"Rings", 5, "rings">]>;
def Tile_RoleAttr : Tile_EnumAttr<Tile_Role, "role">;

def Tile_Scaling : Tile_Enum<"Scaling", "where the group scales are applied", [
  I32EnumAttrCase<"Sums", 0, "sums">, I32EnumAttrCase<"Fragments", 1, "fragments">]>;
def Tile_ScalingAttr : Tile_EnumAttr<Tile_Scaling, "scaling">;

#endif // GPTQC_DIALECT_TILE_TILEDIALECT_TD
