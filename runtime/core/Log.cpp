// Parsing of the topic list, and the one place that writes log lines.
#include "runtime/core/Log.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace gptqc {
namespace {

constexpr Topic kTopics[] = {Topic::Dispatch, Topic::Compile, Topic::Cache, Topic::Tune};

} // namespace

std::string_view Log::topicName(Topic topic) {
  switch (topic) {
  case Topic::Dispatch:
    return "dispatch";
  case Topic::Compile:
    return "compile";
  case Topic::Cache:
    return "cache";
  case Topic::Tune:
    return "tune";
  }
  return "event";
}

Result<Log> Log::create(std::string_view topics, Sink sink) {
  Log log;
  if (sink)
    log.sink = std::make_shared<const Sink>(std::move(sink));
  while (!topics.empty()) {
    const size_t comma = topics.find(',');
    const std::string_view word = topics.substr(0, comma);
    topics = comma == std::string_view::npos ? std::string_view() : topics.substr(comma + 1);
    bool known = word.empty();
    for (const Topic topic : kTopics) {
      if (word == topicName(topic)) {
        log.topics |= unsigned(topic);
        known = true;
      }
    }
    if (!known)
      return invalidArgument("unknown log topic '{}'; use dispatch, compile, cache, tune", word);
  }
  return log;
}

Log Log::fromEnvironment() {
  const char *value = std::getenv("GPTQC_VERBOSE");
  Result<Log> log = create(value ? value : "");
  if (log.ok())
    return *log;
  Log().warning("GPTQC_VERBOSE: {}", log.status().message());
  return Log();
}

void Log::write(std::string_view label, std::string_view text) const {
  std::string line = fmt::format("gptqc: {}: {}", label, text);
  for (char &c : line)
    if (c == '\n' || c == '\r')
      c = ' ';
  if (sink) {
    (*sink)(line);
    return;
  }
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

} // namespace gptqc
