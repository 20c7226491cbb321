// SingleFlight: values by key, each made once; threads that ask for one in the making wait for it.
#ifndef GPTQC_RUNTIME_CORE_SINGLEFLIGHT_H
#define GPTQC_RUNTIME_CORE_SINGLEFLIGHT_H

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "runtime/core/Status.h"

namespace gptqc {

/// Thread-safe. Values are kept as long as this object, or the `capacity` newest of them; a failure
/// is told to all that waited and tried again by the next call.
template <typename T> class SingleFlight {
public:
  using Value = std::shared_ptr<const T>;

  explicit SingleFlight(size_t capacity = SIZE_MAX) : capacity(capacity) {}

  /// `make` runs on the thread of the first caller, without a lock.
  Result<Value> get(const std::string &key, const std::function<Result<T>()> &make) {
    std::unique_lock lock(mutex);
    auto &slot = flights[key];
    if (slot) { // made, or in the making
      const std::shared_ptr<Flight> flight = slot;
      landed.wait(lock, [&] { return flight->outcome.has_value(); });
      return *flight->outcome;
    }
    const auto flight = std::make_shared<Flight>();
    slot = flight;
    lock.unlock();
    Result<T> made = makeError(Code::Internal, "{}: no memory left", key);
    try {
      made = make();
    } catch (...) { // those who wait must not wait for ever
      (void)land(key, *flight, made);
      throw;
    }
    return land(key, *flight, made);
  }

private:
  struct Flight {
    std::optional<Result<Value>> outcome;
  };

  Result<Value> land(const std::string &key, Flight &flight, Result<T> &made) {
    const std::lock_guard lock(mutex);
    if (made.ok()) {
      flight.outcome.emplace(std::make_shared<const T>(std::move(*made)));
      kept.push_back(key);
      if (kept.size() > capacity) {
        flights.erase(kept.front());
        kept.pop_front();
      }
    } else {
      flight.outcome.emplace(made.status());
      flights.erase(key);
    }
    landed.notify_all();
    return *flight.outcome;
  }

  std::mutex mutex;
  std::condition_variable landed;
  std::map<std::string, std::shared_ptr<Flight>> flights;
  std::deque<std::string> kept; ///< keys of what was made, the oldest first
  const size_t capacity;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_SINGLEFLIGHT_H
