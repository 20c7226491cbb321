// IR text into the passes, by mutation of valid IR: the MLIR archives carry no coverage, so that
// libFuzzer would be blind there. Inputs run in a child process; one that kills it is kept.
//
//   IrFuzz [--runs N] [--seconds S] [--seed N] [--first N] [--keep FOLDER] FILE-OR-FOLDER...
//
// Runs every module of the .mlir files as it is, then N mutants, for S seconds at most (without
// --runs for S seconds); --first starts at that input, to run a few under a debugger.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/raw_ostream.h"

#include "compiler/emit/EmitCuda.h"
#include "compiler/passes/Passes.h"
#include "dialect/gptq/Gptq.h"
#include "dialect/tile/Tile.h"
#include "tests/fuzz/IrMutator.h"

namespace {

namespace fs = std::filesystem;
using gptqc::fuzz::IrMutator;

constexpr uint64_t kInputsPerContext = 1000;
constexpr unsigned kSecondsPerInput = 20;
constexpr rlim_t kMemory = rlim_t(4) << 30;

/// What a child process leaves behind.
struct Shared {
  uint64_t next; ///< the input that runs, or would run next
  uint64_t parsed, lowered, emitted;
  char why[256]; ///< the property that does not hold; empty: a crash
};

[[noreturn]] void violated(Shared &shared, const char *why) {
  std::snprintf(shared.why, sizeof shared.why, "%s", why);
  std::abort();
}

std::string printed(mlir::Operation *op) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  op->print(stream);
  return text;
}

mlir::OwningOpRef<mlir::ModuleOp> parse(mlir::MLIRContext &context, const std::string &text) {
  llvm::SourceMgr sources; // the copy ends with a NUL, as the lexer wants
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(text, "input"), llvm::SMLoc());
  return mlir::parseSourceFile<mlir::ModuleOp>(sources, mlir::ParserConfig(&context));
}

bool lower(mlir::ModuleOp module, void (*build)(mlir::OpPassManager &)) {
  mlir::PassManager manager(module.getContext());
  build(manager);
  return llvm::succeeded(manager.run(module));
}

/// What holds for any text: valid IR prints as itself, and what the pipelines accept can be
/// emitted.
void runInput(mlir::MLIRContext &context, const std::string &text, Shared &shared) {
  mlir::OwningOpRef<mlir::ModuleOp> module = parse(context, text);
  if (!module)
    return;
  ++shared.parsed;
  const std::string once = printed(*module);
  const mlir::OwningOpRef<mlir::ModuleOp> again = parse(context, once);
  if (!again) {
    // MLIR prints an empty symbol, which it accepts in quotes, as words that it does not parse.
    if (once.find("<<INVALID EMPTY SYMBOL>>") != std::string::npos)
      return;
    violated(shared, "printed IR parses");
  }
  if (printed(*again) != once)
    violated(shared, "parse(print(x)) prints as x");
  if (!lower(*module, gptqc::buildSchedulePipeline) || !lower(*module, gptqc::buildTilePipeline))
    return;
  ++shared.lowered;
  module->walk([&](gptqc::tile::KernelOp kernel) {
    if (gptqc::emitCuda(kernel).source.empty())
      violated(shared, "verified tile IR is emitted");
    ++shared.emitted;
  });
}

/// The dialects that gptqc-opt knows; errors are expected and dropped.
struct Context {
  Context() : context(registry(), mlir::MLIRContext::Threading::DISABLED) {
    context.getDiagEngine().registerHandler([](mlir::Diagnostic &) {});
  }
  static mlir::DialectRegistry registry() {
    mlir::DialectRegistry registry;
    registry.insert<mlir::arith::ArithDialect, mlir::func::FuncDialect, mlir::scf::SCFDialect,
                    gptqc::gptq::GptqDialect, gptqc::tile::TileDialect>();
    return registry;
  }
  mlir::MLIRContext context;
};

/// Adds what the pipelines make of the valid seeds: tests hold little tile IR in full.
void addLowered(IrMutator &mutator) {
  Context own;
  for (size_t i = 0, count = mutator.seedCount(); i < count; ++i) {
    const mlir::OwningOpRef<mlir::ModuleOp> module = parse(own.context, mutator.seed(i));
    if (!module || !lower(*module, gptqc::buildSchedulePipeline))
      continue;
    mutator.addFile(printed(*module));
    if (lower(*module, gptqc::buildTilePipeline))
      mutator.addFile(printed(*module));
  }
}

class Fuzzer {
public:
  uint64_t run = 1, mutants = 0, first = 0;
  double seconds = 0;
  fs::path keep = "build/fuzz-findings";
  IrMutator mutator;

  /// The number of finds.
  int loop() {
    void *memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return 1;
    Shared &shared = *new (memory) Shared();
    shared.next = first;
    start = std::chrono::steady_clock::now();
    int finds = 0;
    while (!atEnd(shared.next)) {
      std::fflush(nullptr);
      const pid_t child = ::fork();
      if (child == 0)
        runBatch(shared);
      int status = 0;
      if (child < 0 || ::waitpid(child, &status, 0) != child)
        return 1;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        continue;
      ++finds;
      report(shared, status);
    }
    fmt::print("{} inputs: {} parsed, {} lowered, {} kernels emitted; {} finds, {:.0f} s\n",
               shared.next, shared.parsed, shared.lowered, shared.emitted, finds, elapsed());
    return finds;
  }

private:
  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  bool atEnd(uint64_t index) const {
    if (index < mutator.seedCount())
      return false;
    return index - mutator.seedCount() >= mutants || (seconds > 0 && elapsed() >= seconds);
  }

  std::string input(uint64_t index) const {
    return index < mutator.seedCount() ? mutator.seed(size_t(index)) : mutator.mutant(run, index);
  }

  /// The child: some inputs with one context.
  [[noreturn]] void runBatch(Shared &shared) const {
#ifndef GPTQC_SANITIZED // the shadow of AddressSanitizer takes terabytes
    const rlimit limit = {kMemory, kMemory};
    (void)::setrlimit(RLIMIT_AS, &limit);
#endif
    Context own;
    for (uint64_t i = 0; i < kInputsPerContext && !atEnd(shared.next); ++i) {
      ::alarm(kSecondsPerInput);
      runInput(own.context, input(shared.next), shared);
      ++shared.next;
    }
    ::_exit(0);
  }

  void report(Shared &shared, int status) const {
    const char *what = shared.why[0]          ? shared.why
                       : !WIFSIGNALED(status) ? "exit"
                                              : ::strsignal(WTERMSIG(status));
    std::error_code error;
    fs::create_directories(keep, error);
    const fs::path file = keep / fmt::format("ir-{}-{}.mlir", run, shared.next);
    std::ofstream(file, std::ios::binary) << input(shared.next);
    fmt::print("find: {}: {}\n", file.string(), what);
    shared.why[0] = 0;
    ++shared.next;
  }

  std::chrono::steady_clock::time_point start;
};

/// Every .mlir file at or below a path, in order.
std::vector<fs::path> filesAt(const fs::path &path) {
  std::vector<fs::path> files;
  if (std::error_code none; fs::is_regular_file(path, none))
    return {path};
  std::error_code error; // a path that is not there holds no file
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error))
    if (it->path().extension() == ".mlir")
      files.push_back(it->path());
  std::sort(files.begin(), files.end());
  return files;
}

} // namespace

int main(int argc, char **argv) {
  Fuzzer fuzzer;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (argument == "--runs")
      fuzzer.mutants = std::strtoull(value, nullptr, 10), ++i;
    else if (argument == "--seconds")
      fuzzer.seconds = std::strtod(value, nullptr), ++i;
    else if (argument == "--seed")
      fuzzer.run = std::strtoull(value, nullptr, 10), ++i;
    else if (argument == "--first")
      fuzzer.first = std::strtoull(value, nullptr, 10), ++i;
    else if (argument == "--keep")
      fuzzer.keep = value, ++i;
    else
      for (const fs::path &file : filesAt(argument)) {
        std::ifstream in(file, std::ios::binary);
        fuzzer.mutator.addFile(std::string(std::istreambuf_iterator<char>(in), {}));
      }
  }
  if (fuzzer.mutator.seedCount() == 0) {
    fmt::print(stderr,
               "usage: IrFuzz [--runs N] [--seconds S] [--seed N] [--first N] [--keep FOLDER] "
               "FILE-OR-FOLDER...\n");
    return 2;
  }
  if (fuzzer.mutants == 0 && fuzzer.seconds > 0)
    fuzzer.mutants = UINT64_MAX;
  addLowered(fuzzer.mutator);
  return fuzzer.loop() == 0 ? 0 : 1;
}
