// The gptq dialect and its attributes: what a layer computes, for which GPU, and (once chosen) how.
#ifndef GPTQC_DIALECT_GPTQ_GPTQDIALECT_TD
#define GPTQC_DIALECT_GPTQ_GPTQDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"

def Gptq_Dialect : Dialect {
  let name = "gptq";
  let cppNamespace = "::gptqc::gptq";
  let summary = "GPTQ-quantized layers: what to compute";
  let description = [{
    One op per layer. Everything that decides the computation is in one attribute, the descriptor, in the
    text form that the rest of the project uses.
  }];
  let useDefaultAttributePrinterParser = 1;
}

/// An attribute that holds the canonical text of a value type of runtime/core.
class Gptq_TextAttr<string className, string keyword, string hostType>
    : AttrDef<Gptq_Dialect, className> {
  let mnemonic = keyword;
  let parameters = (ins StringRefParameter<"the text form">:$text);
  let assemblyFormat = "`<` $text `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The parsed value; the verifier has made sure that there is one.
    }] # hostType # [{ getValue() const;
    static }] # className # [{Attr get(::mlir::MLIRContext *context, const }] # hostType # [{ &value);
  }];
}

def Gptq_DescriptorAttr : Gptq_TextAttr<"Descriptor", "descriptor", "::gptqc::Descriptor"> {
  let summary = "what to compute, e.g. #gptq.descriptor<\"w4 g128 sym f16->f16 n4096 k4096 m1\">";
}
def Gptq_TargetAttr : Gptq_TextAttr<"Target", "target", "::gptqc::Target"> {
  let summary = "which GPU, e.g. #gptq.target<\"sm_90a h200 sms132\">";
}
def Gptq_ScheduleAttr : Gptq_TextAttr<"Schedule", "schedule", "::gptqc::Schedule"> {
  let summary = "how, e.g. #gptq.schedule<\"mma t64x16x128 warps4 kwarps4 stages4\">";
}

#endif // GPTQC_DIALECT_GPTQ_GPTQDIALECT_TD
