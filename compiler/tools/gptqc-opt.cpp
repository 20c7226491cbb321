// gptqc-opt: runs our passes on .mlir files, for people who work on them and for the lit tests.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"

#include "compiler/passes/Passes.h"
#include "dialect/gptq/Gptq.h"
#include "dialect/tile/Tile.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mlir::arith::ArithDialect, mlir::func::FuncDialect, mlir::scf::SCFDialect,
                  gptqc::gptq::GptqDialect, gptqc::tile::TileDialect>();
  mlir::registerCanonicalizerPass();
  gptqc::registerPassesAndPipelines();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "gptqc optimizer driver\n", registry));
}
