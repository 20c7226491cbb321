// Packs: written deterministically, read with every claim checked, matched to GPUs and drivers; any
// damaged bit is noticed before code is handed out.
#include "runtime/pack/Pack.h"

#include <csignal>
#include <cstring>
#include <random>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/core/Hash.h"
#include "runtime/core/KernelImageJson.h"
#include "runtime/core/SafeTensorsWriter.h"
#include "runtime/pack/PackBuilder.h"
#include "tests/support/TempFolder.h"

namespace gptqc {
namespace {

using fixtures::readText;
using fixtures::TempFolder;
using fixtures::writeText;

const char *const kLayer = "w4 g128 sym f16->f16 n4096 k4096";

KernelImage image(const std::string &descriptor, const std::string &target, uint8_t fill,
                  size_t bytes = 1000) {
  KernelImage image;
  image.descriptor = descriptor;
  image.target = target;
  image.schedule = "simt t128x4x16 warps4 stages1";
  image.compiler = "nvrtc 13.1";
  image.buildKey = sha256Hex(descriptor + target);
  image.launch.threads = 128;
  image.launch.tileN = 128;
  image.launch.tileM = 4;
  image.launch.paddedN = 4096;
  image.cubin.assign(bytes, fill);
  return image;
}

/// Two buckets for two GPUs, PTX for later ones, and the support kernel.
PackBuilder builder(bool backwards = false) {
  struct Item {
    const char *m, *target;
    bool ptx;
  };
  std::vector<Item> items = {{"m1..1", "sm_80", false},
                             {"m9..16", "sm_80", false},
                             {"m1..1", "sm_90a h200 sms132", false},
                             {"m9..16", "sm_90a h200 sms132", false},
                             {"m1..1", "sm_80", true}};
  if (backwards)
    std::reverse(items.begin(), items.end());
  PackBuilder builder;
  builder.setProvenance("gptqc", "0.1.0 test");
  for (const Item &item : items) {
    const std::string what = fmt::format("{} {}", kLayer, item.m);
    EXPECT_TRUE(builder
                    .addLinear(image(what, item.target, uint8_t(sha256Hex(what + item.target)[0]),
                                     what.size() * 10 + item.ptx),
                               item.ptx)
                    .ok());
  }
  for (const char *target : {"sm_80", "sm_90a"})
    EXPECT_TRUE(
        builder.addSupport("support/repack.cu", image("support/repack.cu", target, 7), false).ok());
  return builder;
}

Descriptor kernel(const char *m) { return *Descriptor::parse(fmt::format("{} {}", kLayer, m)); }
Target gpu(const char *text) { return *Target::parse(text); }

class PackTest : public ::testing::Test {
protected:
  void SetUp() override { ASSERT_TRUE(builder().write(path).ok()); }
  std::string refusal(const Result<KernelImage> &result, Code code) {
    EXPECT_EQ(result.status().code(), code) << result.status().message();
    EXPECT_NE(result.status().message().find(path.string()), std::string::npos);
    return result.status().message();
  }
  TempFolder folder;
  std::filesystem::path path = folder / "model.kernels.safetensors";
};

TEST_F(PackTest, TheSameKernelsGiveTheSameBytes) {
  ASSERT_TRUE(builder(true).write(folder / "other").ok());
  EXPECT_EQ(readText(path), readText(folder / "other"));
}

TEST_F(PackTest, FindsWhatFitsTheGpu) {
  const auto pack = Pack::open(path);
  ASSERT_TRUE(pack.ok()) << pack.status().message();
  const auto targetFor = [&](const char *m, const char *target) {
    const auto found = (*pack)->findLinear(kernel(m), gpu(target), 13010);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? found->target : "";
  };
  EXPECT_EQ(targetFor("m1..1", "sm_90a h200 sms132"), "sm_90a");
  EXPECT_EQ(targetFor("m9..16", "sm_80"), "sm_80");
  EXPECT_EQ(targetFor("m10..12", "sm_86"), "sm_80") << "cubins run on later minor versions";
  const auto ptx = (*pack)->findLinear(kernel("m1..1"), gpu("sm_120"), 13010);
  ASSERT_TRUE(ptx.ok());
  EXPECT_EQ(ptx->cubin.size() % 10, 1u) << "the PTX, not a cubin";
  EXPECT_EQ((*pack)->findSupport("support/repack.cu", gpu("sm_90a"), 13000)->cubin.size(), 1000u);
  EXPECT_EQ((*pack)->provenance().at("gptqc"), "0.1.0 test");
  EXPECT_EQ((*pack)->tables().size(), 3u);
  EXPECT_TRUE((*pack)->verify().ok());
}

TEST_F(PackTest, PassesOverWhatNeedsMoreSharedMemory) {
  PackBuilder made;
  for (const auto &[bucket, bytes] : {std::pair("m1..1", 60000), {"m2..2", 150000}}) {
    for (const bool ptx : {false, true}) { // the PTX needs less
      KernelImage kernel = image(fmt::format("{} {}", kLayer, bucket), "sm_80", 7, ptx ? 20 : 10);
      kernel.launch.sharedBytes = ptx ? 1000 : bytes;
      kernel.resources.staticSharedBytes = 50000;
      if (!ptx || bytes == 150000)
        ASSERT_TRUE(made.addLinear(kernel, ptx).ok());
    }
  }
  ASSERT_TRUE(made.write(folder / "large").ok());
  path = folder / "large";
  const auto pack = Pack::open(path);
  ASSERT_TRUE(pack.ok()) << pack.status().message();
  EXPECT_TRUE((*pack)->findLinear(kernel("m1..1"), gpu("sm_80"), 13010).ok());
  const std::string text =
      refusal((*pack)->findLinear(kernel("m1..1"), gpu("sm_86"), 13010), Code::Unsupported);
  EXPECT_NE(text.find("for sm_80 needs 110000 bytes of shared memory, sm_86 has 101376; build it "
                      "with --target sm_86"),
            std::string::npos)
      << text;
  EXPECT_EQ((*pack)->findLinear(kernel("m2..2"), gpu("sm_89"), 13010)->cubin.size(), 20u);
}

// Inputs of an older form would be refused at the first line, and nothing behind it be fuzzed.
TEST_F(PackTest, SeedsOfTheFuzzerAreOfThisForm) {
  const std::filesystem::path seeds =
      std::filesystem::path(GPTQC_SOURCE_DIR) / "tests/fuzz/corpus/pack";
  const auto file = Pack::open(seeds / "file");
  EXPECT_TRUE(file.ok()) << file.status().message();
  for (const char *name : {"linear", "support", "ptx", "two-targets"}) {
    const auto manifest = nlohmann::json::parse(readText(seeds / name));
    EXPECT_EQ(manifest.at("format"), Pack::kFormat);
    for (const auto &kernel : manifest.at("kernels")) {
      const auto facts = kernelFactsFromJson(kernel, name);
      EXPECT_TRUE(facts.ok()) << facts.status().message();
    }
  }
}

TEST_F(PackTest, SaysWhyNot) {
  const auto opened = Pack::open(path);
  const Pack &pack = **opened;
  std::string text =
      refusal(pack.findLinear(kernel("m1..1"), gpu("sm_75"), 13010), Code::Unsupported);
  EXPECT_NE(text.find("it is for compute_80 and later (PTX), sm_80, sm_90a, this GPU is sm_75"),
            std::string::npos)
      << text;
  text = refusal(pack.findLinear(kernel("m3..4"), gpu("sm_80"), 13010), Code::NotFound);
  EXPECT_NE(text.find("m3..4"), std::string::npos) << text;
  refusal(pack.findLinear(kernel("m8..9"), gpu("sm_80"), 13010), Code::NotFound);
  text = refusal(pack.findLinear(kernel("m1..1"), gpu("sm_80"), 12040), Code::Unsupported);
  EXPECT_NE(text.find("needs a driver for CUDA 13.0, this one is for CUDA 12.4"), std::string::npos)
      << text;
  text = refusal(pack.findLinear(kernel("m1..1"), gpu("sm_120"), 13000), Code::Unsupported);
  EXPECT_NE(text.find("CUDA 13.1"), std::string::npos) << text;
  refusal(pack.findSupport("support/other.cu", gpu("sm_80"), 13000), Code::NotFound);
}

TEST(PackBuilderTest, RefusesWhatMakesNoPack) {
  const TempFolder folder;
  PackBuilder empty;
  EXPECT_EQ(empty.write(folder / "x").code(), Code::InvalidArgument);
  PackBuilder twice;
  const KernelImage one = image(std::string(kLayer) + " m1..1", "sm_80", 1);
  EXPECT_TRUE(twice.addLinear(one, false).ok());
  EXPECT_EQ(twice.addLinear(one, false).code(), Code::InvalidArgument);
  EXPECT_EQ(twice.addLinear(image(std::string(kLayer) + " m1..1", "sm_90a", 1), true).code(),
            Code::InvalidArgument)
      << "PTX of sm_90a runs nowhere else";
  EXPECT_EQ(twice.addLinear(image(std::string(kLayer) + " m2..2", "sm_80", 1, 0), false).code(),
            Code::InvalidArgument);
  EXPECT_EQ(minimumDriverFor("nvrtc 13.1", false), 13000);
  EXPECT_EQ(minimumDriverFor("nvrtc 12.4", true), 12040);
  EXPECT_EQ(minimumDriverFor("something else", true), 0);
}

/// Whether the damage of a file is noticed by open, or by verify.
bool noticed(const std::filesystem::path &path) {
  const auto pack = Pack::open(path);
  return !pack.ok() || !(*pack)->verify().ok();
}

TEST_F(PackTest, DamagedBitsAreNoticed) {
  const std::string good = readText(path);
  std::mt19937 random(5);
  const auto other = folder / "damaged";
  for (size_t i = 0; i < good.size(); i += 1 + random() % 61) {
    std::string bad = good;
    bad[i] = char(bad[i] ^ (1 << random() % 8));
    writeText(other, bad);
    ASSERT_TRUE(noticed(other)) << "bit flip in byte " << i;
  }
  for (size_t size = 0; size < good.size(); size += 1 + random() % 701) {
    writeText(other, good.substr(0, size));
    ASSERT_TRUE(noticed(other)) << "cut to " << size;
  }
  writeText(other, good + "x");
  EXPECT_TRUE(noticed(other));
}

/// A pack whose manifest was changed and signed again: the reader trusts no value in it.
void rewrite(const std::filesystem::path &from, const std::filesystem::path &to,
             const std::function<void(nlohmann::json &)> &change) {
  const auto file = *SafeTensorsFile::open(from);
  auto manifest =
      nlohmann::json::parse(file->metadata().at(std::string(Pack::kManifestKey)), nullptr, false);
  change(manifest);
  const std::string text = manifest.dump();
  std::vector<TensorPlan> plan;
  for (const TensorInfo &tensor : file->tensors())
    plan.push_back({tensor.name, tensor.type, tensor.shape});
  const auto writer = *SafeTensorsWriter::create(
      to, plan,
      {{std::string(Pack::kManifestKey), text}, {std::string(Pack::kDigestKey), sha256Hex(text)}});
  for (const TensorInfo &tensor : file->tensors())
    ASSERT_TRUE(writer->write(tensor.name, file->bytes(tensor)).ok());
  ASSERT_TRUE(writer->finish().ok());
}

TEST_F(PackTest, HostileManifestsAreRefused) {
  using Json = nlohmann::json;
  const std::pair<const char *, void (*)(Json &)> cases[] = {
      {"format 1", [](Json &j) { j["format"] = 1; }},
      {"packed as mma32.v9", [](Json &j) { j["layout"] = "mma32.v9"; }},
      {"needs kernels", [](Json &j) { j.erase("kernels"); }},
      {"'kind'", [](Json &j) { j["kernels"][0].erase("kind"); }},
      {"neither cubin nor ptx", [](Json &j) { j["kernels"][0]["kind"] = "elf"; }},
      {"'kind' is missing or cannot be printed",
       [](Json &j) { j["kernels"][0]["kind"] = "elf\n"; }},
      {"cannot be printed", [](Json &j) { j["kernels"][0]["target"] = "sm_80\t"; }},
      {"'\\x1b' is no range", [](Json &j) { j["tables"][0]["rows"][0][0] = "\x1b"; }},
      {"'bytes'", [](Json &j) { j["kernels"][0]["bytes"] = -1; }},
      {"'threads'", [](Json &j) { j["kernels"][0]["launch"]["threads"] = 1 << 20; }},
      {"has", [](Json &j) { j["kernels"][0]["bytes"] = 1 << 20; }},
      {"is missing", [](Json &j) { j["kernels"][0]["tensor"] = "../../x"; }},
      {"target", [](Json &j) { j["kernels"][0]["target"] = "sm_61"; }},
      {"pair of range", [](Json &j) { j["tables"][0]["rows"][0][1] = 1000; }},
      {"no range", [](Json &j) { j["tables"][0]["rows"][0][0] = "9"; }},
      {"something else", [](Json &j) { j["tables"][0]["rows"][0][1] = 4; }},
      {"overlap", [](Json &j) { j["tables"][0]["rows"][1] = j["tables"][0]["rows"][0]; }},
      {"table 0", [](Json &j) { j["tables"][0]["descriptor"] = "w9"; }},
      {"table 0", [](Json &j) { j["tables"][0] = 3; }},
      {"kernel 1", [](Json &j) { j["kernels"][1] = Json::array(); }}};
  for (const auto &[says, change] : cases) {
    rewrite(path, folder / "hostile", change);
    const auto pack = Pack::open(folder / "hostile");
    ASSERT_FALSE(pack.ok()) << says;
    EXPECT_NE(pack.status().message().find(says), std::string::npos) << pack.status().message();
  }
  const auto checkpoint = *SafeTensorsWriter::create(folder / "plain", {}, {});
  ASSERT_TRUE(checkpoint->finish().ok());
  EXPECT_NE(Pack::open(folder / "plain").status().message().find("no kernel pack"),
            std::string::npos);
}

TEST_F(PackTest, AKilledWriterLeavesTheOldPack) {
  const std::string good = readText(path);
  for (int round = 0; round < 50; ++round) {
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0)
      for (;;)
        (void)builder(true).write(path);
    usleep(useconds_t(300 + round * 271 % 4000));
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    ASSERT_EQ(readText(path), good);
  }
}

} // namespace
} // namespace gptqc
