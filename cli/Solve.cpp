// gptqc solve LAYER.safetensors --bits ... -o OUT: quantizes one layer, given its W and H.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/Commands.h"
#include "cli/Progress.h"
#include "cli/SolverArguments.h"
#include "cli/SolverDevice.h"
#include "runtime/solver/LayerFile.h"

namespace gptqc::cli {
namespace {

struct SolveArguments {
  std::string layer, name, output, scales = "f16", device = "cpu";
  SolverArguments solver;
};

/// `how` says what computed, and for how long.
Result<LayerSolution> solveOn(const SolveArguments &options, const LayerFile &layer,
                              std::string &how) {
  const SolverOptions &solver = options.solver.options;
  if (options.device == "cuda") {
    GPTQC_ASSIGN(const std::unique_ptr<SolverDevice> device, openSolverDevice());
    std::string times;
    Result<LayerSolution> solution =
        device->solve(layer.weights, layer.n, layer.k, layer.hessian, solver, times);
    how = fmt::format("{}, {}", times, device->describe());
    return solution;
  }
  GPTQC_ASSIGN(const Blas blas, options.solver.openBlas());
  const auto start = std::chrono::steady_clock::now();
  Result<LayerSolution> solution = solveLayer(layer.weights, layer.n, layer.k, layer.hessian,
                                              solver, blas, options.solver.threads);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  how = fmt::format("{}, {}", formatSeconds(seconds), blas.name());
  return solution;
}

Status solve(SolveArguments options) {
  GPTQC_TRY(options.solver.finish());
  SolverOptions &solver = options.solver.options;
  solver.scales = options.scales == "f32" ? ScaleMode::F32 : ScaleMode::Stored;
  GPTQC_ASSIGN(const LayerFile layer, LayerFile::read(options.layer, options.name));
  if (std::error_code error; std::filesystem::equivalent(options.layer, options.output, error))
    return invalidArgument("{} is the layer itself; choose another output file", options.output);
  std::string how;
  const Result<LayerSolution> solution = solveOn(options, layer, how);
  GPTQC_TRY(solution.status().withContext(options.layer));
  GPTQC_TRY(writeSolution(options.output, layer, *solution, solver));
  if (solution->recovery != Recovery::None)
    fmt::print(stderr, "gptqc: warning: H was not positive definite; recovery: {}, damping {:g}\n",
               recoveryName(solution->recovery), solution->damp);
  fmt::print("{}: N {} K {}, {} groups, loss {:.6g}, damping {:g}, error {:.4f} -> {:.4f}; {}\n",
             layer.name.empty() ? options.layer : layer.name, layer.n, layer.k, solution->groups,
             solution->loss, solution->damp, solution->errorBefore, solution->errorAfter, how);
  return Status();
}

} // namespace

void registerSolve(CLI::App &app, Outcome &outcome) {
  auto options = std::make_shared<SolveArguments>();
  CLI::App *command = app.add_subcommand("solve", "Quantize one layer with GPTQ");
  command
      ->add_option("LAYER", options->layer, "safetensors file with <layer>.W [N,K] and <layer>.H")
      ->required();
  command->add_option("--name", options->name, "Layer, where the file holds several");
  options->solver.add(*command);
  command->add_option("--scales", options->scales, "f32: for comparisons, scales stay unrounded")
      ->check(CLI::IsMember({"f16", "f32"}))
      ->capture_default_str();
  command->add_option("--device", options->device, "Where to compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "safetensors file to write")->required();
  command->callback([options, &outcome] { outcome.status = solve(*options); });
}

} // namespace gptqc::cli
