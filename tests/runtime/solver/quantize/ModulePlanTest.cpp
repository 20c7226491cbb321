// Overrides, the format that holds all modules, and what the file will say.
#include "runtime/solver/quantize/ModulePlan.h"

#include <gtest/gtest.h>

using namespace gptqc;
using Json = nlohmann::ordered_json;

namespace {

const std::vector<std::string> kModules = {"m.0.q", "m.0.down", "m.1.q", "m.1.down"};

GptqModelOptions planOptions(int bits, bool sym = true) {
  GptqModelOptions result;
  result.solver.bits = bits;
  result.solver.sym = sym;
  return result;
}

std::string errorOf(const GptqModelOptions &options) {
  const auto plan = ModulePlan::make(kModules, options);
  return plan.ok() ? "no error" : plan.status().message();
}

TEST(ModulePlan, PlainestFormatThatHoldsAll) {
  struct Case {
    int bits;
    bool sym;
    FileFormat format;
  };
  for (const Case &c : {Case{4, true, FileFormat::Gptq}, Case{4, false, FileFormat::GptqV2},
                        Case{6, true, FileFormat::GptqPlanar}}) {
    const auto plan = ModulePlan::make(kModules, planOptions(c.bits, c.sym));
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan->writer.config.format, c.format);
    EXPECT_EQ(plan->tasks.size(), 4u);
    EXPECT_TRUE(plan->writer.modules.empty());
    EXPECT_EQ(plan->find("m.0.q")->solver.zeroFromOne, c.format == FileFormat::Gptq);
  }
}

TEST(ModulePlan, DynamicOverrides) {
  GptqModelOptions wanted = planOptions(4);
  wanted.dynamic = Json::parse(R"({"-:m\\.1\\.q": {},
      "+:m\\.\\d\\.down": {"bits": 6, "group_size": 32, "desc_act": true, "damp_percent": 0.05,
                           "mse": 2.4},
      "m\\.0": {"sym": false, "static_groups": true}})");
  const auto plan = ModulePlan::make(kModules, wanted);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->find("m.1.q"), nullptr);
  const SolverOptions &down = plan->find("m.0.down")->solver;
  EXPECT_EQ(down.bits, 6);
  EXPECT_EQ(down.groupSize, 32);
  EXPECT_TRUE(down.actOrder && down.mse && down.sym);
  EXPECT_EQ(down.damp, 0.05);
  const SolverOptions &q = plan->find("m.0.q")->solver;
  EXPECT_FALSE(q.sym || q.mse || q.actOrder);
  EXPECT_TRUE(q.staticGroups);
  EXPECT_EQ(plan->writer.config.format, FileFormat::GptqPlanar) << "6 bits decide for all";
  EXPECT_EQ(plan->writer.modules.at("m.1.down").bits, 6);
  EXPECT_EQ(plan->writer.keys["dynamic"], wanted.dynamic);
}

TEST(ModulePlan, RulesThatDecideNothing) {
  GptqModelOptions wanted = planOptions(4);
  wanted.dynamic = Json::parse(R"({"-:m\\.1\\.q": {}, "m\\.1\\.q": {"bits": 8},
      "m\\.0": {"bits": 8}, "m\\.0\\.down": {"bits": 3}, "-:lm_head": {}, "lm_head": {"bits": 8},
      "-:x\\.5": {}, "q_proj": {"bits": 8}})");
  const auto plan = ModulePlan::make(kModules, wanted);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  const std::vector<std::string> idle = {"m\\.1\\.q", "m\\.0\\.down", "lm_head", "x\\.5", "q_proj"};
  EXPECT_EQ(plan->idleRules, idle);
}

TEST(ModulePlan, OrderShowsOnlyWhereGroupsFollowIt) {
  GptqModelOptions act = planOptions(4);
  act.solver.actOrder = true;
  EXPECT_TRUE(ModulePlan::make(kModules, act)->writer.config.descAct);
  act.solver.staticGroups = true;
  EXPECT_FALSE(ModulePlan::make(kModules, act)->writer.config.descAct);
  act.solver.staticGroups = false;
  act.solver.groupSize = -1;
  EXPECT_FALSE(ModulePlan::make(kModules, act)->writer.config.descAct);
}

TEST(ModulePlan, Contradictions) {
  GptqModelOptions wanted = planOptions(4);
  wanted.dynamic = Json::parse(R"({"-:.*": {}})");
  EXPECT_NE(errorOf(wanted).find("skips every module"), std::string::npos) << errorOf(wanted);
  wanted.dynamic = Json::parse(R"({"m.0.q": {"bits": 5}})");
  wanted.format = FileFormat::Gptq;
  EXPECT_NE(errorOf(wanted).find("m.0.q: 5 bits exist in format gptq_p"), std::string::npos);
  wanted.format.reset();
  wanted.dynamic = Json::parse(R"({"m.0.q": {"bits": 9}})");
  EXPECT_NE(errorOf(wanted).find("bits"), std::string::npos);
  wanted.dynamic = Json::parse(R"({"m.0.q": {"bitz": 3}})");
  EXPECT_NE(errorOf(wanted).find("dynamic 'm.0.q' has a key 'bitz'; known: bits, group_size"),
            std::string::npos)
      << errorOf(wanted);
  wanted.dynamic = Json::parse(R"({"m.0.q": {"damp_percent": 2}})");
  EXPECT_NE(errorOf(wanted).find("m.0.q: damping 2"), std::string::npos) << errorOf(wanted);
  wanted.dynamic = Json::parse(R"({"m.0.q": {"desc_act": true, "act_group_aware": true}})");
  EXPECT_NE(errorOf(wanted).find("choose one"), std::string::npos) << errorOf(wanted);
}

} // namespace
