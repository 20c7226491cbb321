// Whole models: what is written is complete, right and deterministic; what fails leaves nothing
// behind.
#include "runtime/checkpoint/QuantizeModel.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/checkpoint/ModuleTable.h"
#include "runtime/checkpoint/Rtn.h"
#include "tests/runtime/checkpoint/CheckpointFixture.h"

using namespace gptqc;
using namespace gptqc::fixtures;
namespace fs = std::filesystem;

namespace {

const fs::path kModels = fs::path(GPTQC_SOURCE_DIR) / "tests/data/models";
const fs::path kLlama = kModels / "docs-llama-7m", kOpt = kModels / "docs-opt-5m";

QuantizeOptions options(int bits, int64_t groupSize, bool sym, bool actOrder) {
  QuantizeOptions result;
  result.bits = bits;
  result.groupSize = groupSize;
  result.sym = sym;
  result.actOrder = actOrder;
  return result;
}

std::vector<float> floatsOf(const TensorRef &tensor) {
  std::vector<float> values;
  for (size_t i = 0; i < size_t(tensor.info->elements()); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, tensor.bytes().data() + i * 2, 2);
    values.push_back(halfToFloat(bits));
  }
  return values;
}

struct Case {
  fs::path model;
  QuantizeOptions options;
  size_t layers;
};

TEST(QuantizeModel, LayersComeBackAsTheyWereQuantized) {
  for (const Case &c : {Case{kOpt, options(3, 64, false, true), 36},
                        Case{kLlama, options(5, -1, true, false), 56}}) {
    const TempFolder temp;
    const auto report = quantizeModel(c.model, temp / "q", c.options, nullptr);
    ASSERT_TRUE(report.ok()) << report.status().message();
    EXPECT_EQ(report->layers, int64_t(c.layers));
    EXPECT_EQ(report->shortGroups, 0);
    const auto checkpoint = Checkpoint::open(temp / "q");
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
    for (const Finding &finding : checkpoint->findings())
      EXPECT_EQ(finding.check, "g-idx-differs")
          << "each layer has its own order: " << finding.print();
    ASSERT_EQ(checkpoint->layers().size(), c.layers);
    const auto source = HfFolder::open(c.model);
    ASSERT_TRUE(source.ok());
    RtnOptions rtn;
    rtn.bits = c.options.bits;
    rtn.groupSize = c.options.groupSize;
    rtn.sym = c.options.sym;
    rtn.actOrder = c.options.actOrder;
    for (size_t i : {size_t(0), c.layers / 2, c.layers - 1}) {
      const LayerInfo &layer = checkpoint->layers()[i];
      const std::vector<float> weights = floatsOf(*source->find(layer.name + ".weight"));
      const auto want =
          quantizeRtn(weights, layer.descriptor.n, layer.descriptor.k, DType::F16, rtn);
      const auto have = checkpoint->loadLayer(layer);
      ASSERT_TRUE(have.ok());
      EXPECT_EQ(have->codes, want->codes);
      EXPECT_EQ(have->zeros, want->zeros);
      EXPECT_EQ(have->scales, want->scales);
      EXPECT_EQ(have->groupIndex, want->groupIndex);
      EXPECT_EQ(have->bias.empty(), c.model == kLlama);
    }
  }
}

TEST(QuantizeModel, FolderIsComplete) {
  const TempFolder temp;
  ASSERT_TRUE(quantizeModel(kLlama, temp / "q", options(4, 128, true, false), nullptr).ok());
  for (const char *name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
    EXPECT_EQ(readText(fs::path(temp / "q") / name), readText(kLlama / name));
  const auto source = HfFolder::open(kLlama), written = HfFolder::open(temp / "q");
  ASSERT_TRUE(written.ok());
  auto config = written->config();
  const auto quantization = config["quantization_config"];
  config.erase("quantization_config");
  EXPECT_EQ(config, source->config());
  EXPECT_EQ(quantization["quant_method"], "gptq");
  EXPECT_EQ(quantization["checkpoint_format"], "gptq");
  EXPECT_EQ(quantization,
            nlohmann::ordered_json::parse(readText(fs::path(temp / "q") / "quantize_config.json")));
  for (const auto &[name, tensor] : source->tensors()) {
    const TensorRef *copy = written->find(name);
    const ModuleTable *table = ModuleTable::forModelType("llama");
    if (table->quantizes(name.substr(0, name.rfind('.')))) {
      EXPECT_EQ(copy, nullptr) << name;
      continue;
    }
    ASSERT_NE(copy, nullptr) << name;
    EXPECT_EQ(copy->info->print(), tensor.info->print());
    EXPECT_TRUE(std::equal(copy->bytes().begin(), copy->bytes().end(), tensor.bytes().begin()));
  }
}

TEST(QuantizeModel, IsDeterministicAndShardsHoldTheSame) {
  const TempFolder temp;
  QuantizeOptions wanted = options(4, 64, true, true);
  ASSERT_TRUE(quantizeModel(kOpt, temp / "a", wanted, nullptr).ok());
  wanted.threads = 1;
  ASSERT_TRUE(quantizeModel(kOpt, temp / "b", wanted, nullptr).ok());
  EXPECT_EQ(readText(temp / "a/model.safetensors"), readText(temp / "b/model.safetensors"));
  wanted.maxShardBytes = 1'000'000;
  ASSERT_TRUE(quantizeModel(kOpt, temp / "c", wanted, nullptr).ok());
  const auto whole = HfFolder::open(temp / "a"), shards = HfFolder::open(temp / "c");
  ASSERT_TRUE(shards.ok()) << shards.status().message();
  EXPECT_GT(shards->weightFiles().size(), 3u);
  EXPECT_TRUE(shards->unlisted().empty());
  ASSERT_EQ(shards->tensors().size(), whole->tensors().size());
  for (const auto &[name, tensor] : whole->tensors())
    EXPECT_TRUE(std::equal(tensor.bytes().begin(), tensor.bytes().end(),
                           shards->find(name)->bytes().begin()))
        << name;
}

TEST(QuantizeModel, FormatFollowsBitsAndZeroPoints) {
  const auto formatOf = [](int bits, bool sym, std::optional<FileFormat> format = {}) {
    QuantizeOptions wanted = options(bits, 128, sym, false);
    wanted.format = format;
    return resolveConfig(wanted);
  };
  EXPECT_EQ(formatOf(4, true)->format, FileFormat::Gptq);
  EXPECT_EQ(formatOf(4, false)->format, FileFormat::GptqV2);
  EXPECT_EQ(formatOf(4, false, FileFormat::Gptq)->format, FileFormat::Gptq);
  EXPECT_EQ(formatOf(6, true)->format, FileFormat::GptqPlanar);
  EXPECT_EQ(formatOf(3, true, FileFormat::GptqPlanar)->format, FileFormat::GptqPlanar);
  EXPECT_NE(formatOf(5, true, FileFormat::Gptq).status().message().find("gptq_p"),
            std::string::npos);
  EXPECT_EQ(formatOf(1, true).status().code(), Code::InvalidArgument);
  EXPECT_EQ(formatOf(9, true).status().code(), Code::InvalidArgument);
  EXPECT_EQ(resolveConfig(options(4, 0, true, false)).status().code(), Code::InvalidArgument);
  EXPECT_FALSE(resolveConfig(options(4, -1, true, true))->descAct) << "one group has no order";
}

TEST(QuantizeModel, AsymmetricV1KeepsZeroPointsAboveZero) {
  const TempFolder temp;
  QuantizeOptions wanted = options(2, 32, false, false);
  wanted.format = FileFormat::Gptq;
  ASSERT_TRUE(quantizeModel(kOpt, temp / "q", wanted, nullptr).ok());
  const auto checkpoint = Checkpoint::open(temp / "q");
  ASSERT_TRUE(checkpoint.ok());
  for (const Finding &finding : checkpoint->findings())
    EXPECT_EQ(finding.check, "zeros-v1-asym") << finding.print();
  for (const LayerInfo &layer : checkpoint->layers()) {
    const auto matrix = checkpoint->loadLayer(layer);
    ASSERT_TRUE(matrix.ok());
    for (uint8_t zero : matrix->zeros)
      ASSERT_GE(zero, 1);
  }
}

void expectRefused(const fs::path &model, const QuantizeOptions &wanted, Code code,
                   const std::string &says) {
  const TempFolder temp;
  const auto report = quantizeModel(model, temp / "q", wanted, nullptr);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), code) << report.status().message();
  EXPECT_NE(report.status().message().find(says), std::string::npos) << report.status().message();
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

/// A Llama of one block whose layers are [n,k] F16.
struct TinyLlama {
  TempFolder folder;
  TinyLlama(int64_t n, int64_t k, const std::string &type = "llama", uint16_t value = 0x3c00,
            const std::string &leaveOut = "") {
    std::vector<TensorPlan> plan;
    for (std::string_view module : ModuleTable::forModelType("llama")->modules)
      if (module != leaveOut)
        plan.push_back({fmt::format("model.layers.0.{}.weight", module), ElementType::F16, {n, k}});
    auto writer = SafeTensorsWriter::create(folder / "model.safetensors", plan, {});
    for (const TensorPlan &tensor : plan)
      EXPECT_TRUE(
          (*writer)->write(tensor.name, bytesOf(std::vector<uint16_t>(size_t(n * k), value))).ok());
    EXPECT_TRUE((*writer)->finish().ok());
    writeText(folder / "config.json", fmt::format(R"({{"model_type":"{}"}})", type));
  }
};

TEST(QuantizeModel, CountsShortGroups) {
  const TinyLlama model(64, 64);
  for (const auto &[groupSize, isShort] :
       {std::pair(64, false), {-1, false}, {48, true}, {128, true}}) {
    const TempFolder temp;
    const auto report =
        quantizeModel(model.folder.path(), temp / "q", options(4, groupSize, true, false), nullptr);
    ASSERT_TRUE(report.ok()) << report.status().message();
    EXPECT_EQ(report->shortGroups, isShort ? report->layers : 0) << groupSize;
  }
}

TEST(QuantizeModel, Refusals) {
  const QuantizeOptions wanted = options(4, 128, true, false);
  expectRefused(TinyLlama(48, 64).folder.path(), wanted, Code::InvalidArgument,
                "model.layers.0.self_attn.k_proj: N = 48");
  expectRefused(TinyLlama(64, 72).folder.path(), wanted, Code::InvalidArgument,
                "must be multiples of 32");
  expectRefused(TinyLlama(64, 64, "mamba").folder.path(), wanted, Code::Unsupported,
                "supported: llama, mistral, opt, qwen2, qwen3");
  expectRefused(TinyLlama(64, 64, "opt").folder.path(), wanted, Code::NotFound,
                "model.decoder.layers.");
  expectRefused(TinyLlama(64, 64, "llama", 0x3c00, "mlp.up_proj").folder.path(), wanted,
                Code::NotFound, "model.layers.0.mlp.up_proj.weight is missing");
  expectRefused(TinyLlama(64, 64, "llama", 0x7e00).folder.path(), wanted, Code::InvalidArgument,
                "not finite");
  const TempFolder temp;
  expectRefused(temp / "none", wanted, Code::NotFound, "is no folder");
  ASSERT_TRUE(quantizeModel(kOpt, temp / "q", wanted, nullptr).ok());
  expectRefused(temp / "q", wanted, Code::Unsupported, "quantized already");
  EXPECT_EQ(quantizeModel(kOpt, temp / "q", wanted, nullptr).status().code(), Code::InvalidArgument)
      << "the folder is not empty";
  QuantizeOptions forced = wanted;
  forced.force = true;
  EXPECT_NE(quantizeModel(kOpt, kOpt, forced, nullptr).status().message().find("model itself"),
            std::string::npos);
}

/// Runs `work` in a child process and returns what waitpid says.
template <typename Work> int inChild(const Work &work) {
  const pid_t child = ::fork();
  if (child == 0)
    ::_exit(work());
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(QuantizeModel, AKilledProcessLeavesNoFolder) {
  const TempFolder temp;
  const int status = inChild([&] {
    QuantizeOptions wanted = options(4, 128, true, false);
    wanted.threads = 1;
    (void)quantizeModel(kOpt, temp / "q", wanted, [](int64_t done, int64_t, const std::string &) {
      if (done == 5)
        ::raise(SIGKILL);
    });
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_FALSE(fs::exists(temp / "q"));
  ASSERT_TRUE(quantizeModel(kOpt, temp / "q", options(4, 128, true, false), nullptr).ok());
}

TEST(QuantizeModel, ADiskThatIsFullLeavesNothing) {
  const TempFolder temp;
  const int status = inChild([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {1'000'000, 1'000'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    QuantizeOptions wanted = options(4, 128, true, false);
    wanted.threads = 1;
    const auto report = quantizeModel(kOpt, temp / "q", wanted, nullptr);
    return report.status().code() == Code::IoError ? 0 : 1;
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(fs::is_empty(temp.path()));
}

} // namespace
