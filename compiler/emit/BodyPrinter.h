// BodyPrinter: the statements of a kernel's body, one op after another. EmitCuda prints what stands
// around them.
#ifndef GPTQC_COMPILER_EMIT_BODYPRINTER_H
#define GPTQC_COMPILER_EMIT_BODYPRINTER_H

#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/DenseMap.h"

#include "dialect/tile/Tile.h"

namespace gptqc {

/// Prints the statements of a kernel's body and notes the headers that they need.
class BodyPrinter {
public:
  std::string text;
  std::set<std::string> headers = {"gptqc/ptx/block.cuh", "gptqc/tile.cuh"};

  void printBlock(mlir::Block &block);

private:
  /// What stands for a value: a variable or literal, or an expression that needs parentheses as
  /// operand.
  struct Expression {
    std::string text;
    bool compound = false;
  };

  llvm::DenseMap<mlir::Value, Expression> expressions;
  std::vector<std::set<std::string>> scopes;
  int depth = 1;

  template <typename... Args> void line(fmt::format_string<Args...> format, Args &&...args) {
    text.append(size_t(depth) * 2, ' ');
    fmt::format_to(std::back_inserter(text), format, std::forward<Args>(args)...);
    text += '\n';
  }

  /// `wanted`, or with a number where an enclosing scope has that name already.
  std::string declare(mlir::Value value, llvm::StringRef wanted);

  const std::string &whole(mlir::Value value) const { return expressions.find(value)->second.text; }
  std::string operand(mlir::Value value) const {
    const Expression &found = expressions.find(value)->second;
    return found.compound ? "(" + found.text + ")" : found.text;
  }

  /// The address of a slot.
  std::string slot(mlir::TypedValue<tile::SharedType> buffer, mlir::Value index) const;
  static std::string array(tile::RegistersType type);

  /// A line that needs a header.
  template <typename... Args>
  void call(const char *header, fmt::format_string<Args...> format, Args &&...args) {
    headers.insert(header);
    line(format, std::forward<Args>(args)...);
  }

  void print(mlir::Operation *op);
  void printBinary(mlir::Operation *op, llvm::StringRef symbol);
  void printFor(mlir::scf::ForOp op);
  void printIf(mlir::scf::IfOp op);
  void printCall(mlir::Operation *op);
  void printGemv(mlir::Operation *op);
  void printState(mlir::Operation *op);
  void printMeeting(mlir::Operation *op);
  void printRows(mlir::Operation *op);
  void printWgmma(mlir::Operation *op);
  void printBranches(llvm::StringRef condition, mlir::Region &first, mlir::Region &second);
  void print(tile::BlockIndexOp op);
  void print(tile::EnterExpertOp op);
  void print(tile::SharedOp op);
  void print(tile::AccumulateOp op);
  void printCopy(llvm::StringRef function, llvm::StringRef header, mlir::Operation *op);
  void printKTile(mlir::Operation *op, llvm::StringRef name, llvm::StringRef function);
};

} // namespace gptqc

#endif // GPTQC_COMPILER_EMIT_BODYPRINTER_H
