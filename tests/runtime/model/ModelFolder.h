// A copy of a tiny model in memory, for tests that damage it, and calls that expect an error.
#ifndef GPTQC_TESTS_RUNTIME_MODEL_MODELFOLDER_H
#define GPTQC_TESTS_RUNTIME_MODEL_MODELFOLDER_H

#include <map>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "runtime/checkpoint/HfFolder.h"
#include "runtime/core/SafeTensorsWriter.h"
#include "tests/support/TempFolder.h"

namespace gptqc::fixtures {

inline std::filesystem::path dataFolder() {
  return std::filesystem::path(GPTQC_SOURCE_DIR) / "tests/data";
}

/// Change `config`, `plan` and `bytes`, then write().
struct ModelFolder {
  nlohmann::ordered_json config;
  std::map<std::string, TensorPlan> plan;
  std::map<std::string, std::vector<uint8_t>> bytes;

  explicit ModelFolder(const std::string &tiny) {
    const Result<HfFolder> source = HfFolder::open(dataFolder() / "tiny" / tiny);
    EXPECT_TRUE(source.ok()) << source.status().message();
    config = source->config();
    for (const auto &[name, tensor] : source->tensors()) {
      plan[name] = {name, tensor.info->type, tensor.info->shape};
      bytes[name].assign(tensor.bytes().begin(), tensor.bytes().end());
    }
  }

  void remove(const std::string &name) {
    plan.erase(name);
    bytes.erase(name);
  }

  const std::filesystem::path &write() {
    std::vector<TensorPlan> tensors;
    for (const auto &[name, tensor] : plan)
      tensors.push_back(tensor);
    auto writer = SafeTensorsWriter::create(folder / "model.safetensors", tensors, {});
    EXPECT_TRUE(writer.ok());
    for (const auto &[name, values] : bytes)
      EXPECT_TRUE((*writer)->write(name, values).ok()) << name;
    EXPECT_TRUE((*writer)->finish().ok());
    writeText(folder / "config.json", config.dump());
    return folder.path();
  }

private:
  TempFolder folder;
};

/// Expects an error of this code whose message contains `text`, in one line.
inline void expectError(const Status &status, Code code, const std::string &text) {
  EXPECT_EQ(status.code(), code) << status.message();
  EXPECT_NE(status.message().find(text), std::string::npos) << status.message();
  EXPECT_EQ(status.message().find('\n'), std::string::npos) << status.message();
}

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_RUNTIME_MODEL_MODELFOLDER_H
