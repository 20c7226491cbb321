// gptqc eval MODEL --tokens FILE: the perplexity of a dense or quantized model.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/Commands.h"
#include "cli/ModelDevice.h"
#include "cli/Progress.h"
#include "runtime/model/Perplexity.h"

namespace gptqc::cli {
namespace {

struct EvalArguments {
  std::string model, tokens, device = "cpu";
  int64_t rows = 0, length = 0;
  int threads = 0;
  bool json = false;
};

Status evaluate(const EvalArguments &options) {
  const auto start = std::chrono::steady_clock::now();
  GPTQC_ASSIGN(const TokenRows all, loadTokenRows(options.tokens, "eval_ids"));
  Result<TokenRows> rows = firstRows(all, options.rows, options.length);
  GPTQC_TRY(rows.status().withContext(options.tokens));
  GPTQC_ASSIGN(const Model model, Model::open(options.model));
  const CpuContext cpu = CpuContext::create(options.threads);
  std::unique_ptr<Progress> progress;
  const BlockProgress step = [&](int64_t done, int64_t total) {
    if (!progress)
      progress = std::make_unique<Progress>("eval", total);
    progress->step(fmt::format("block {}", (done - 1) % model.config().blocks));
  };
  std::unique_ptr<ModelDevice> gpu;
  if (options.device == "cuda") {
    GPTQC_ASSIGN(gpu, openModelDevice());
  }
  Result<Perplexity> result = gpu ? gpu->perplexity(model, *rows, cpu.threads, step)
                                  : perplexityOf(model, *rows, cpu, step);
  progress.reset();
  GPTQC_TRY(result.status().withContext(options.model));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.json)
    fmt::print("{}\n", nlohmann::ordered_json{{"model", options.model},
                                              {"perplexity", result->value},
                                              {"predictions", result->predictions},
                                              {"rows", rows->rows},
                                              {"length", rows->length},
                                              {"quantized", model.quantized()},
                                              {"device", gpu ? gpu->describe() : "cpu"},
                                              {"blas", cpu.blas.name()},
                                              {"seconds", seconds}}
                           .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  else
    fmt::print("{}: perplexity {:.4f} ({} rows of {} tokens, {})\n", options.model, result->value,
               rows->rows, rows->length, formatSeconds(seconds));
  return Status();
}

} // namespace

void registerEval(CLI::App &app, Outcome &outcome) {
  auto options = std::make_shared<EvalArguments>();
  CLI::App *command = app.add_subcommand("eval", "Perplexity of a dense or quantized model");
  command->add_option("MODEL", options->model, "Folder of the model")->required();
  command
      ->add_option("--tokens", options->tokens,
                   "Token ids [rows,T], int32 or int64: tensor eval_ids, or the only one, of a "
                   ".safetensors file; or a .npy file")
      ->required();
  command->add_option("--rows", options->rows, "Take the first rows only")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command->add_option("--seqlen", options->length, "Cut rows to this many tokens")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command
      ->add_option("--device", options->device,
                   "cuda: quantized layers run on the generated kernels")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Default: all of the machine")
      ->check(CLI::Range(1, 4096));
  command->add_flag("--json", options->json, "One line of JSON with the key perplexity");
  command->callback([options, &outcome] { outcome.status = evaluate(*options); });
}

} // namespace gptqc::cli
