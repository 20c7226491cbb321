// eval and generate as a user runs them.
#include <nlohmann/json.hpp>

#include "tests/cli/RunTool.h"

using gptqc::fixtures::contains;
using gptqc::fixtures::expectFailure;
using gptqc::fixtures::Outcome;
using gptqc::fixtures::run;
using gptqc::fixtures::TempFolder;
using gptqc::fixtures::writeText;

namespace {

const std::string kData = std::string(GPTQC_SOURCE_DIR) + "/tests/data/";
const std::string kModel = kData + "models/docs-llama-7m";
const std::string kTokens = " --tokens " + kData + "tokens.safetensors";

TEST(ModelCommands, Eval) {
  const Outcome text = run("eval " + kModel + kTokens + " --rows 4 --seqlen 96");
  ASSERT_EQ(text.exitCode, 0) << text.errors;
  EXPECT_TRUE(contains(text.output, "perplexity 18.0321 (4 rows of 96 tokens, ")) << text.output;
  const Outcome json = run("eval " + kModel + kTokens + " --rows 2 --seqlen 50 --json");
  ASSERT_EQ(json.exitCode, 0) << json.errors;
  const nlohmann::json result = nlohmann::json::parse(json.output, nullptr, false);
  EXPECT_GT(result.value("perplexity", 0.0), 1.0) << json.output;
  EXPECT_EQ(result.value("predictions", 0), 98);
  EXPECT_EQ(result.value("quantized", true), false);
}

TEST(ModelCommands, EvalErrors) {
  expectFailure("eval " + kModel, 2, "--tokens is required");
  expectFailure("eval " + kData + kTokens, 1, "tests/data");
  expectFailure("eval " + kModel + kTokens + " --rows 600", 1,
                "tokens.safetensors: 600 rows of 512 tokens are asked for, there are 512");
  expectFailure("eval " + kModel + " --tokens " + kModel + "/model.safetensors", 1,
                "no tensor 'eval_ids' of I32 or I64");
  expectFailure("eval " + kData + "tiny/llama" + kTokens + " --rows 1", 1,
                "is outside the vocabulary of 64");
}

TEST(ModelCommands, Generate) {
  const std::string options = " --max-tokens 8 --ignore-end";
  const Outcome ids = run("generate " + kModel + " --tokens 1,400,500" + options);
  ASSERT_EQ(ids.exitCode, 0) << ids.errors;
  EXPECT_EQ(std::count(ids.output.begin(), ids.output.end(), ' '), 8) << ids.output;
  EXPECT_TRUE(contains(ids.errors, "3 tokens of prompt in ")) << ids.errors;
  EXPECT_EQ(run("generate " + kModel + " --tokens 1,400,500" + options).output, ids.output);
  const std::string sampled = options + " --temperature 1.5 --top-p 0.9 --seed ";
  const Outcome one = run("generate " + kModel + " --tokens 1,400,500" + sampled + "1");
  EXPECT_EQ(run("generate " + kModel + " --tokens 1,400,500" + sampled + "1").output, one.output);
  EXPECT_NE(run("generate " + kModel + " --tokens 1,400,500" + sampled + "2").output, one.output);
}

TEST(ModelCommands, GenerateOnADevice) {
  const std::string command = "generate " + kModel + " --tokens 1,400 --max-tokens 4 --device ";
  const std::string noGpu = "CUDA_VISIBLE_DEVICES= ";
  const Outcome cpu = run(command + "cpu");
  ASSERT_EQ(cpu.exitCode, 0) << cpu.errors;
  EXPECT_TRUE(contains(cpu.errors, " tokens/s, CPU\n")) << cpu.errors;
  const Outcome automatic = run(command + "auto", noGpu), cuda = run(command + "cuda", noGpu);
  EXPECT_EQ(automatic.output, cpu.output) << automatic.errors;
  EXPECT_TRUE(contains(automatic.errors, " tokens/s, CPU\n")) << automatic.errors;
  EXPECT_EQ(cuda.exitCode, 1);
  EXPECT_EQ(cuda.output, "");
  EXPECT_TRUE(contains(cuda.errors, "gptqc: error: ")) << cuda.errors;
  EXPECT_TRUE(contains(cuda.errors, "CUDA") || contains(cuda.errors, "no kernel compiler"))
      << cuda.errors;
  EXPECT_TRUE(contains(cuda.errors, "use --device cpu")) << cuda.errors;
  expectFailure(command + "gpu", 2, "--device");
}

TEST(ModelCommands, OutputThatCannotBeWritten) {
  const std::string eval = "eval " + kModel, generate = "generate " + kModel;
  for (const std::string &command : {eval + kTokens + " --rows 1 --seqlen 9",
                                     generate + " --tokens 1,400 --max-tokens 3 --ignore-end"}) {
    const Outcome outcome = run(command + " >/dev/full");
    EXPECT_EQ(outcome.exitCode, 1);
    EXPECT_TRUE(contains(outcome.errors, "gptqc: error: the output could not be written"))
        << outcome.errors;
  }
}

#ifdef GPTQC_HAVE_TOKENIZER
TEST(ModelCommands, GenerateText) {
  const Outcome text = run("generate " + kModel + " --prompt 'The index of' --max-tokens 8");
  ASSERT_EQ(text.exitCode, 0) << text.errors;
  EXPECT_EQ(text.output.rfind("The index of", 0), 0U) << text.output;
  EXPECT_GT(text.output.size(), 14U);
}
#endif

TEST(ModelCommands, GenerateErrors) {
  expectFailure("generate " + kModel, 2, "[--prompt,--tokens] is required");
  expectFailure("generate " + kModel + " --prompt a --tokens 1", 2, "2 were given");
  expectFailure("generate " + kModel + " --tokens 1,x", 1, "give token ids parted by commas");
  expectFailure("generate " + kModel + " --tokens 1,2048", 1,
                "token id 2048 at position 1 is outside the vocabulary of 2048");
  expectFailure("generate " + kModel + " --tokens 1 --top-p 0", 1, "top-p 0");
  const TempFolder temp;
  writeText(temp / "config.json", "{\"model_type\": \"mamba\"}");
  expectFailure("generate " + temp.path().string() + " --tokens 1", 1, "");
}

} // namespace
