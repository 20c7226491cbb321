// gptqc cache ls | verify | prune: looks after the folder of compiled kernels.
#include <chrono>
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/Commands.h"
#include "cli/Progress.h"
#include "runtime/core/CacheFolder.h"
#include "runtime/core/DiskCache.h"
#include "runtime/core/TextForm.h"

namespace gptqc::cli {
namespace {

struct CacheArguments {
  std::string folder, maxSize;
  bool json = false, remove = false;
};

Result<CacheOptions> cacheOf(const CacheArguments &arguments) {
  return CacheOptions::fromEnvironment(arguments.folder);
}

double secondsSince(int64_t stamp) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return double(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() - stamp) / 1e9;
}

Status listJson(const std::vector<CacheEntry> &entries, const CacheFolder &folder) {
  auto list = nlohmann::ordered_json::array();
  for (const CacheEntry &entry : entries) {
    const Result<KernelImage> image = folder.read(entry);
    nlohmann::ordered_json item = {{"build", entry.buildKey}, {"bytes", entry.bytes}};
    if (image.ok()) {
      item["descriptor"] = image->descriptor;
      item["target"] = image->target;
      item["schedule"] = image->schedule;
      item["compiler"] = image->compiler;
    } else {
      item["error"] = image.status().message();
    }
    list.push_back(std::move(item));
  }
  fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  return Status();
}

Status listEntries(const CacheArguments &arguments) {
  GPTQC_ASSIGN(const CacheOptions options, cacheOf(arguments));
  const CacheFolder folder(options.folder);
  GPTQC_ASSIGN(const std::vector<CacheEntry> entries, folder.list());
  if (arguments.json)
    return listJson(entries, folder);
  int64_t bytes = 0;
  fmt::print("{:<12}  {:>9}  {:>10}  {}\n", "build", "size", "last use", "kernel");
  for (const CacheEntry &entry : entries) {
    const Result<KernelImage> image = folder.read(entry);
    const std::string what =
        image.ok() ? fmt::format("{} | {}{}{}", image->descriptor, image->target,
                                 image->schedule.empty() ? "" : " | ", image->schedule)
                   : "damaged: gptqc cache verify --remove deletes it";
    fmt::print("{:<12}  {:>9}  {:>10}  {}\n", entry.buildKey.substr(0, 12),
               formatBytes(entry.bytes), formatSeconds(secondsSince(entry.lastUse)), what);
    bytes += entry.bytes;
  }
  fmt::print("{} builds, {} in {}\n", entries.size(), formatBytes(bytes), options.folder.string());
  for (const auto &layer : options.layers)
    fmt::print("read-only layer below it: {}\n", layer.string());
  return Status();
}

Status verifyEntries(const CacheArguments &arguments) {
  GPTQC_ASSIGN(const CacheOptions options, cacheOf(arguments));
  GPTQC_ASSIGN(const CacheCheck check, CacheFolder(options.folder).verify(arguments.remove));
  for (const std::string &line : check.damaged)
    fmt::print("{}\n", line);
  fmt::print("{} builds ({}), {} requests: {} damaged, {} removed\n", check.builds,
             formatBytes(check.bytes), check.requests, check.damaged.size(), check.removed);
  if (check.damaged.empty() || check.removed == int64_t(check.damaged.size()))
    return Status();
  return dataCorrupt("{}: {} damaged files (each costs a compile); --remove deletes them",
                     options.folder.string(), check.damaged.size());
}

Status prune(const CacheArguments &arguments) {
  GPTQC_ASSIGN(const CacheOptions options, cacheOf(arguments));
  int64_t maxBytes = options.maxBytes;
  if (arguments.remove) {
    maxBytes = 0;
  } else if (!arguments.maxSize.empty()) {
    const std::optional<int64_t> size = parseByteSize(arguments.maxSize);
    if (!size)
      return invalidArgument("--max-size {}: write bytes, or e.g. 500M or 2G", arguments.maxSize);
    maxBytes = *size;
  } else if (maxBytes == 0) {
    return invalidArgument("prune needs --max-size SIZE, --all, or GPTQC_CACHE_SIZE");
  }
  GPTQC_ASSIGN(const CachePruned pruned, CacheFolder(options.folder).prune(maxBytes));
  fmt::print("removed {} builds ({}), {} requests, {} left-over files; kept {} builds ({})\n",
             pruned.builds, formatBytes(pruned.bytes), pruned.requests, pruned.leftOvers,
             pruned.keptBuilds, formatBytes(pruned.keptBytes));
  return Status();
}

} // namespace

void registerCache(CLI::App &app, Outcome &outcome) {
  auto arguments = std::make_shared<CacheArguments>();
  CacheArguments &a = *arguments;
  CLI::App *command = app.add_subcommand("cache", "List, check or shrink the kernel cache");
  command->require_subcommand(1);
  const auto add = [&](const char *name, const char *text,
                       Status (*action)(const CacheArguments &)) -> CLI::App * {
    CLI::App *sub = command->add_subcommand(name, text);
    sub->add_option("--cache", a.folder, "Folder of the kernel cache; default: the user's");
    sub->callback([arguments, &outcome, action] { outcome.status = action(*arguments); });
    return sub;
  };
  add("ls", "List the builds, the last used first", listEntries)
      ->add_flag("--json", a.json, "As JSON, on stdout");
  add("verify", "Check every file; exit code 1 when one is damaged", verifyEntries)
      ->add_flag("--remove", a.remove, "Delete what is damaged");
  CLI::App *shrink = add("prune", "Remove what was not used for longest", prune);
  CLI::Option *size = shrink->add_option("--max-size", a.maxSize,
                                         "Bytes to keep, e.g. 2G; default: GPTQC_CACHE_SIZE");
  shrink->add_flag("--all", a.remove, "Remove everything")->excludes(size);
}

} // namespace gptqc::cli
