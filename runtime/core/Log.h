// Log: one line per event on stderr, for the topics that GPTQC_VERBOSE names; warnings always. A
// value that is handed down: nothing below reads the environment again.
#ifndef GPTQC_RUNTIME_CORE_LOG_H
#define GPTQC_RUNTIME_CORE_LOG_H

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/Status.h"

namespace gptqc {

enum class Topic : unsigned { Dispatch = 1, Compile = 2, Cache = 4, Tune = 8 };

/// Cheap to copy; safe from any thread (a line is written whole).
class Log {
public:
  /// Receives one line without its newline.
  using Sink = std::function<void(std::string_view line)>;

  /// Warnings only, to stderr.
  Log() = default;

  /// `topics` is a comma-separated list of dispatch, compile, cache, tune; or empty.
  /// InvalidArgument names an unknown word. Without a sink the lines go to stderr.
  static Result<Log> create(std::string_view topics, Sink sink = nullptr);

  /// What GPTQC_VERBOSE asks for; unknown words in it become a warning.
  static Log fromEnvironment();

  bool enabled(Topic topic) const { return (topics & unsigned(topic)) != 0; }

  /// `gptqc: cache: <text>`, when the topic is enabled.
  template <typename... Args>
  void event(Topic topic, fmt::format_string<Args...> format, Args &&...args) const {
    if (enabled(topic))
      write(topicName(topic), fmt::format(format, std::forward<Args>(args)...));
  }

  /// `gptqc: warning: <text>`.
  template <typename... Args>
  void warning(fmt::format_string<Args...> format, Args &&...args) const {
    write("warning", fmt::format(format, std::forward<Args>(args)...));
  }

private:
  static std::string_view topicName(Topic topic);
  void write(std::string_view label, std::string_view text) const;

  unsigned topics = 0;
  std::shared_ptr<const Sink> sink; ///< null: stderr
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_LOG_H
