// gptqc generate MODEL --prompt TEXT | --tokens IDS: continues a text.
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "cli/Commands.h"
#include "cli/ModelDevice.h"
#include "cli/check/Runner.h"
#include "runtime/model/Generate.h"
#ifdef GPTQC_HAVE_TOKENIZER
#include "runtime/tokenizer/Tokenizer.h"
#endif

namespace gptqc::cli {
namespace {

struct GenerateArguments {
  std::string model, tokens, device = "auto";
  std::optional<std::string> prompt; ///< else tokens
  int threads = 0;
  GenerateOptions generate;
};

/// What a command line gives and where the answer goes: ids, or text through the tokenizer.
class Console {
public:
  virtual ~Console() = default;
  virtual Result<std::vector<int32_t>> prompt() const = 0;
  virtual std::string show(int32_t token) const = 0;
};

class IdConsole final : public Console {
public:
  explicit IdConsole(std::string list) : list(std::move(list)) {}
  Result<std::vector<int32_t>> prompt() const override {
    std::vector<int32_t> ids;
    const char *at = list.data(), *end = at + list.size();
    while (at < end) {
      int32_t id = 0;
      const auto [next, error] = std::from_chars(at, end, id);
      if (error != std::errc() || (next < end && *next != ',' && *next != ' '))
        return invalidArgument("--tokens '{}': give token ids parted by commas, e.g. 1,15,300",
                               list);
      ids.push_back(id);
      at = next < end ? next + 1 : end;
    }
    return ids;
  }
  std::string show(int32_t token) const override { return fmt::format("{} ", token); }

private:
  std::string list;
};

#ifdef GPTQC_HAVE_TOKENIZER
class TextConsole final : public Console {
public:
  TextConsole(std::shared_ptr<const Tokenizer> tokenizer, std::string text)
      : tokenizer(std::move(tokenizer)), text(std::move(text)) {}
  Result<std::vector<int32_t>> prompt() const override { return tokenizer->encodeDocument(text); }
  std::string show(int32_t token) const override { return tokenizer->bytesOf(token); }

private:
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string text;
};
#endif

Result<std::unique_ptr<Console>> openConsole(const GenerateArguments &options) {
  if (!options.prompt)
    return std::unique_ptr<Console>(std::make_unique<IdConsole>(options.tokens));
#ifdef GPTQC_HAVE_TOKENIZER
  GPTQC_ASSIGN(std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::open(options.model));
  return std::unique_ptr<Console>(
      std::make_unique<TextConsole>(std::move(tokenizer), *options.prompt));
#else
  return makeError(Code::Unsupported,
                   "this build has no tokenizer library (PCRE2 and utf8proc); use --tokens");
#endif
}

/// A GPU where one is asked for, or to be had; else nothing.
Result<std::unique_ptr<ModelDevice>> openDevice(const std::string &wanted) {
  std::unique_ptr<ModelDevice> none;
  if (wanted == "cpu")
    return none;
  Result<std::unique_ptr<ModelDevice>> gpu = openModelDevice();
  if (wanted == "auto" && !gpu.ok() && meansNoGpu(gpu.status().code()))
    return none;
  return gpu;
}

Status runGenerate(const GenerateArguments &options) {
  GPTQC_ASSIGN(const Model model, Model::open(options.model));
  GPTQC_ASSIGN(const std::unique_ptr<Console> console, openConsole(options));
  GPTQC_ASSIGN(const std::vector<int32_t> prompt, console->prompt());
  const CpuContext cpu = CpuContext::create(options.threads);
  GPTQC_ASSIGN(const std::unique_ptr<ModelDevice> gpu, openDevice(options.device));
  const auto show = [](const std::string &text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
           std::fflush(stdout) == 0;
  };
  show(options.prompt.value_or(""));
  const auto onToken = [&](int32_t token) { return show(console->show(token)); };
  const Result<Generated> result =
      gpu ? gpu->generate(model, prompt, options.generate, cpu.threads, onToken)
          : generate(model, prompt, options.generate, cpuSequences(model, cpu), onToken);
  const bool shown = show("\n");
  GPTQC_TRY(result.status());
  if (!shown)
    return makeError(Code::IoError, "the output could not be written completely");
  const double tokens = double(result->tokens.size());
  fmt::print(
      stderr,
      "gptqc: {} tokens of prompt in {:.2f} s, {} new ones in {:.2f} s: {:.1f} tokens/s, {}\n",
      prompt.size(), result->promptSeconds, result->tokens.size(), result->tokenSeconds,
      result->tokenSeconds > 0 ? tokens / result->tokenSeconds : 0.0,
      gpu ? gpu->describe() : "CPU");
  return Status();
}

} // namespace

void registerGenerate(CLI::App &app, Outcome &outcome) {
  auto options = std::make_shared<GenerateArguments>();
  CLI::App *command = app.add_subcommand("generate", "Continue a text with a model");
  command->add_option("MODEL", options->model, "Folder of a dense or quantized model")->required();
  CLI::Option_group *input = command->add_option_group("input");
  input->add_option("--prompt", options->prompt, "Text to continue");
  input->add_option("--tokens", options->tokens, "Token ids to continue, parted by commas");
  input->require_option(1);
  command->add_option("--max-tokens", options->generate.maxTokens, "New tokens, at most")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40))
      ->capture_default_str();
  SamplingOptions &sampling = options->generate.sampling;
  command
      ->add_option("--temperature", sampling.temperature,
                   "0: always the most likely token; 1: as the model's probabilities are")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--top-p", sampling.topP,
                   "Sample from the fewest tokens that hold this much probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", sampling.seed, "Of the sampling")->capture_default_str();
  command->add_flag("!--ignore-end", options->generate.stopAtEnd,
                    "Go on behind the token that ends a text");
  command
      ->add_option("--device", options->device,
                   "cuda: quantized layers run on the generated kernels; auto: where there is one")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Default: all of the machine")
      ->check(CLI::Range(1, 4096));
  command->callback([options, &outcome] { outcome.status = runGenerate(*options); });
}

} // namespace gptqc::cli
