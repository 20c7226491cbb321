// Progress of a long command on stderr: a bar with an ETA on a terminal, plain lines elsewhere.
#ifndef GPTQC_CLI_PROGRESS_H
#define GPTQC_CLI_PROGRESS_H

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace gptqc::cli {

/// Thread-safe. Off a terminal a line is printed at most every few seconds, and one at the end.
class Progress {
public:
  /// `label` says what is done ("quantize"), `total` how many items there are.
  Progress(std::string label, int64_t total);
  /// Clears an unfinished bar, so that an error message starts on its own line.
  ~Progress();
  Progress(const Progress &) = delete;
  Progress &operator=(const Progress &) = delete;

  /// One more item is done; `item` is its name.
  void step(std::string_view item);

  /// Prints a line of results on stdout, above the bar.
  void line(std::string_view text);

private:
  using Clock = std::chrono::steady_clock;

  void draw(std::string_view item, double elapsed);

  std::mutex mutex;
  std::string label;
  int64_t total = 0;
  int64_t done = 0;
  bool terminal = false;
  bool drawn = false;
  Clock::time_point start, lastDraw;
};

/// "850 ms", "12.3 s", "4:05 min", "1:02:03 h".
std::string formatSeconds(double seconds);

/// "512 B", "3.2 KB", "14.0 MB", "2.1 GB" (powers of 1000).
std::string formatBytes(int64_t bytes);

} // namespace gptqc::cli

#endif // GPTQC_CLI_PROGRESS_H
