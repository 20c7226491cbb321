// A small model through the whole run: what is written, what a killed run leaves, what is refused.
#include "runtime/solver/quantize/GptqModel.h"

#include <gtest/gtest.h>

#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/cpu/Random.h"
#include "tests/support/TempFolder.h"

using namespace gptqc;
using namespace gptqc::fixtures;
namespace fs = std::filesystem;

namespace {

const fs::path kModels = fs::path(GPTQC_SOURCE_DIR) / "tests/data/models";
const fs::path kOpt = kModels / "docs-opt-5m", kLlama = kModels / "docs-llama-7m";

TokenRows tokens(int64_t rows, int64_t length, uint64_t seed = 1) {
  Random random(seed);
  TokenRows result{rows, length, {}};
  for (int64_t i = 0; i < rows * length; ++i)
    result.ids.push_back(int32_t(random.below(2048)));
  return result;
}

CpuContext builtin() { return {Blas::builtin(2), 2}; }

/// Two blocks of each model are enough.
GptqModelOptions options(int bits) {
  GptqModelOptions result;
  result.solver.bits = bits;
  result.dynamic = nlohmann::ordered_json::parse(R"({"-:.*layers\\.[2-9]\\..*": {}})");
  return result;
}

std::map<std::string, std::string> filesOf(const fs::path &folder) {
  std::map<std::string, std::string> files;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder))
    if (entry.path().filename() != "quant_log.csv") // holds times
      files[entry.path().filename().string()] = readText(entry.path());
  return files;
}

size_t entries(const fs::path &folder) {
  return size_t(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(GptqModel, WritesAFolderThatReadersTake) {
  for (const fs::path &model : {kOpt, kLlama}) {
    const TempFolder temp;
    GptqModelOptions wanted = options(4);
    wanted.lmHead = model == kLlama;
    int better = 0, seen = 0;
    const auto report = quantizeWithGptq(
        model, temp / "q", tokens(8, 128), wanted, builtin(),
        [&](int64_t done, int64_t total, const std::string &name, const LayerRecord &record) {
          EXPECT_EQ(done, ++seen);
          EXPECT_EQ(total, model == kLlama ? 15 : 12);
          EXPECT_FALSE(name.empty());
          better += record.errorAfter < record.errorBefore;
          EXPECT_EQ(record.tokens, 1024);
        });
    ASSERT_TRUE(report.ok()) << report.status().message();
    EXPECT_EQ(report->layers, seen);
    EXPECT_EQ(better, seen);
    EXPECT_EQ(entries(temp.path()), 1u) << "the journal is gone";
    const auto checkpoint = Checkpoint::open(temp / "q");
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    EXPECT_TRUE(checkpoint->findings().empty());
    EXPECT_EQ(int64_t(checkpoint->layers().size()), seen);
    EXPECT_EQ(checkpoint->find("lm_head") != nullptr, model == kLlama);
    const auto config = checkpoint->folder().config()["quantization_config"];
    EXPECT_EQ(config["quant_method"], "gptq");
    EXPECT_EQ(config["desc_act"], false);
    EXPECT_EQ(config["lm_head"], wanted.lmHead);
    EXPECT_EQ(config["dynamic"], wanted.dynamic);
    EXPECT_EQ(config["meta"]["method"], "gptq");
    const std::string log = readText(temp / "q/quant_log.csv");
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), seen + 1);
    EXPECT_TRUE(Model::open(temp / "q").ok());
  }
}

TEST(GptqModel, AKilledRunGoesOnToTheSameBytes) {
  const TempFolder temp;
  GptqModelOptions wanted = options(3);
  wanted.solver.actOrder = true;
  const TokenRows calibration = tokens(4, 64);
  ASSERT_TRUE(quantizeWithGptq(kOpt, temp / "whole", calibration, wanted, builtin()).ok());
  wanted.resume = true;
  int64_t next = 1;
  for (int attempt = 0; attempt < 20; ++attempt) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) { // gone in the middle of things after `next` modules
      const auto report =
          quantizeWithGptq(kOpt, temp / "killed", calibration, wanted, builtin(),
                           [&](int64_t done, int64_t, const std::string &, const LayerRecord &) {
                             if (done == next)
                               ::raise(SIGKILL);
                           });
      ::_exit(report.ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      break;
    }
    EXPECT_FALSE(fs::exists(temp / "killed"));
    next += 4;
  }
  EXPECT_EQ(filesOf(temp / "whole"), filesOf(temp / "killed"));
  EXPECT_EQ(entries(temp.path()), 2u) << "what killed runs leave is removed";
  const auto again = quantizeWithGptq(kOpt, temp / "killed", calibration, wanted, builtin());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(again->complete);
}

TEST(GptqModel, TrueSequentialSeesQuantizedInputs) {
  const TempFolder temp;
  GptqModelOptions wanted = options(2);
  const TokenRows calibration = tokens(4, 64);
  ASSERT_TRUE(quantizeWithGptq(kLlama, temp / "blocks", calibration, wanted, builtin()).ok());
  wanted.trueSequential = true;
  ASSERT_TRUE(quantizeWithGptq(kLlama, temp / "layers", calibration, wanted, builtin()).ok());
  const auto blocks = HfFolder::open(temp / "blocks"), layers = HfFolder::open(temp / "layers");
  const auto same = [&](const std::string &module) {
    const std::string name = "model.layers.0." + module + ".qweight";
    const auto a = blocks->find(name)->bytes(), b = layers->find(name)->bytes();
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  EXPECT_TRUE(same("self_attn.q_proj")) << "nothing before it is quantized";
  EXPECT_FALSE(same("self_attn.o_proj"));
  EXPECT_FALSE(same("mlp.down_proj"));
}

TEST(GptqModel, OverridesReachTheFile) {
  const TempFolder temp;
  GptqModelOptions wanted = options(4);
  wanted.dynamic["+:.*\\.fc2"] = {{"bits", 8}, {"group_size", 64}, {"sym", false}};
  const auto report = quantizeWithGptq(kOpt, temp / "q", tokens(4, 64), wanted, builtin());
  ASSERT_TRUE(report.ok()) << report.status().message();
  const auto checkpoint = Checkpoint::open(temp / "q");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ(checkpoint->find("model.decoder.layers.0.fc1")->descriptor.bits, 4);
  const Descriptor &fc2 = checkpoint->find("model.decoder.layers.0.fc2")->descriptor;
  EXPECT_EQ(fc2.bits, 8);
  EXPECT_EQ(fc2.groupSize, 64);
}

TEST(GptqModel, Refusals) {
  const TempFolder temp;
  const auto messageOf = [&](const fs::path &model, const TokenRows &rows,
                             const GptqModelOptions &wanted) {
    const auto report = quantizeWithGptq(model, temp / "q", rows, wanted, builtin());
    EXPECT_FALSE(fs::exists(temp / "q"));
    return report.ok() ? std::string("no error") : report.status().message();
  };
  const auto expect = [](const std::string &message, const char *says) {
    EXPECT_NE(message.find(says), std::string::npos) << message;
  };
  expect(messageOf(kOpt, tokens(1, 100), options(4)), "100 calibration tokens are too few");
  TokenRows outside = tokens(4, 64);
  outside.ids[70] = 2048;
  expect(messageOf(kOpt, outside, options(4)), "2048");
  GptqModelOptions head = options(4);
  head.lmHead = true;
  if (Model::open(kOpt)->config().tiedHead)
    expect(messageOf(kOpt, tokens(4, 64), head), "drop --lm-head");

  const auto folder = HfFolder::open(kLlama);
  for (const char *name : {"model.layers.1.mlp.up_proj", "lm_head"}) {
    const fs::path bad = temp / name;
    fs::copy(kLlama, bad, fs::copy_options::recursive);
    std::string bytes = readText(bad / "model.safetensors");
    const TensorRef weight = *folder->find(fmt::format("{}.weight", name));
    const std::string needle(reinterpret_cast<const char *>(weight.bytes().data()), 64);
    const size_t place = bytes.find(needle);
    ASSERT_NE(place, std::string::npos);
    bytes[place] = 0;
    bytes[place + 1] = 0x7c; // infinity
    writeText(bad / "model.safetensors", bytes);
    expect(messageOf(bad, tokens(4, 64), options(4)), name);
  }
}

} // namespace
