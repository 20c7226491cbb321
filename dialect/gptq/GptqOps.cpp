// Verifiers and canonicalization of the gptq ops; labels name the constraints of dialect/README.md.
#include "dialect/gptq/Gptq.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/PatternMatch.h"

#define GET_OP_CLASSES
#include "dialect/gptq/GptqOps.cpp.inc"

namespace gptqc::gptq {

namespace {

bool isElementType(mlir::Type type, DType expected) {
  return expected == DType::F16 ? type.isF16() : type.isBF16();
}

bool hasColumns(mlir::RankedTensorType type, int64_t columns) {
  return type.getDimSize(1) == columns;
}

} // namespace

llvm::LogicalResult LinearOp::verify() {
  const Descriptor d = getDescriptor().getValue();
  const mlir::RankedTensorType x = getX().getType(), y = getY().getType();
  if (!isElementType(x.getElementType(), d.act)) /*linear_c1*/
    return emitOpError() << "x must have element type " << dtypeName(d.act);
  if (!isElementType(y.getElementType(), d.out)) /*linear_c2*/
    return emitOpError() << "the result must have element type " << dtypeName(d.out);
  if (!hasColumns(x, d.k)) /*linear_c3*/
    return emitOpError() << "x must have " << d.k << " columns (K)";
  if (!hasColumns(y, d.outputColumns())) /*linear_c4*/
    return emitOpError() << "the result must have " << d.outputColumns() << " columns";
  const int64_t m = x.getDimSize(0);
  if (m != y.getDimSize(0) || (!x.isDynamicDim(0) && (m < d.m.lo || m > d.m.hi))) /*linear_c5*/
    return emitOpError() << "dimension 0 must be the same for x and the result, and dynamic or in "
                            "the M range of the descriptor";
  if (getSchedule() && !getTarget()) /*linear_c6*/
    return emitOpError() << "has a schedule but no target";
  const bool offsets = getOffsets() != nullptr;
  if (offsets != d.grouped() ||
      (offsets && llvm::cast<mlir::RankedTensorType>(getOffsets().getType()).getDimSize(0) !=
                      d.experts + 1)) /*linear_c7*/
    return emitOpError() << "a layer of " << d.experts << " expert" << (d.grouped() ? "s" : "")
                         << (d.grouped()
                                 ? " needs offsets of " + std::to_string(d.experts + 1) + " rows"
                                 : " has no offsets");
  return llvm::success();
}

namespace {

/// Rewrites the descriptor in place.
void setDescriptor(LinearOp op, mlir::PatternRewriter &rewriter, const Descriptor &descriptor) {
  rewriter.modifyOpInPlace(
      op, [&] { op.setDescriptorAttr(DescriptorAttr::get(op.getContext(), descriptor)); });
}

struct CanonicalSpelling : mlir::OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  llvm::LogicalResult matchAndRewrite(LinearOp op, mlir::PatternRewriter &rewriter) const override {
    const Descriptor d = op.getDescriptor().getValue();
    if (d.canonical() == d)
      return llvm::failure();
    setDescriptor(op, rewriter, d.canonical());
    return llvm::success();
  }
};

struct OneGroupNeedsNoOrder : mlir::OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  llvm::LogicalResult matchAndRewrite(LinearOp op, mlir::PatternRewriter &rewriter) const override {
    Descriptor d = op.getDescriptor().getValue();
    if (d.groupSize != -1 || !(d.actOrder || d.ragged))
      return llvm::failure();
    d.actOrder = d.ragged = false;
    setDescriptor(op, rewriter, d);
    return llvm::success();
  }
};

} // namespace

void LinearOp::getCanonicalizationPatterns(mlir::RewritePatternSet &patterns,
                                           mlir::MLIRContext *context) {
  patterns.add<CanonicalSpelling, OneGroupNeedsNoOrder>(context);
}

} // namespace gptqc::gptq
