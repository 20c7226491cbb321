// Mutants in child processes, since they may crash or hang, and the account of them.
#include "tests/sim/MutationRun.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "runtime/core/TextForm.h"
#include "tests/sim/CaseTable.h"
#include "tests/sim/Mutants.h"

namespace gptqc::sim {

namespace {

using Clock = std::chrono::steady_clock;

struct Mutant {
  std::string file, function, change, text;
  /// What known mutants are found by: a place that survives edits elsewhere. The functions of
  /// kernels have numbers in their names.
  std::string key() const {
    const bool isKernel = function.starts_with("gptqc_linear");
    return fmt::format("{} | {} | {} | {}", isKernel ? "kernel" : file,
                       isKernel ? "kernel" : function, change, text);
  }
};

enum Outcome { Survived, WrongResult, Order, Deadlock, Crash, Hang, Outcomes };
constexpr std::array<const char *, Outcomes> kOutcomes = {
    "survived", "wrong result", "memory or order rule", "deadlock", "crash", "no end"};

/// One kernel, ready to run on its token counts with several seeds.
struct Subject {
  const Case *entry = nullptr;
  std::vector<CaseRun> runs;
  std::vector<int> mutants; ///< that change something in it
  double seconds = 0;       ///< of its runs without a mutant
};

struct Job {
  const Subject *subject;
  int mutant;
};

/// What happened to the mutants of one key.
struct Account {
  size_t runs = 0, caught = 0;
  std::vector<const Case *> survived;
};

Result<std::vector<Mutant>> readTable(const std::string &path) {
  std::ifstream input(path);
  if (!input)
    return makeError(Code::NotFound, "{}: cannot be read", path);
  std::vector<Mutant> table;
  for (std::string line; std::getline(input, line);) {
    const std::vector<std::string_view> fields = splitAt(line, '\t');
    if (fields.size() != 6)
      return invalidArgument("{}: line {}: expected 6 fields", path, table.size() + 1);
    table.push_back({std::string(fields[1]), std::string(fields[3]), std::string(fields[4]),
                     std::string(fields[5])});
  }
  return table;
}

/// The explained mutants: by key, the text that a kernel's line must hold (empty: any kernel).
using Known = std::multimap<std::string, std::string>;

/// A line is a key, perhaps " @ " and a text, then " -- " and the reason.
Result<Known> readKnown(const std::string &path) {
  Known known;
  if (path.empty())
    return known;
  std::ifstream input(path);
  if (!input)
    return makeError(Code::NotFound, "{}: cannot be read", path);
  for (std::string line; std::getline(input, line);) {
    if (line.empty() || line.starts_with('#'))
      continue;
    const size_t reason = line.rfind(" -- ");
    if (reason == std::string::npos)
      return invalidArgument("{}: '{}' gives no reason behind ' -- '", path, line);
    line.resize(reason);
    const size_t at = line.find(" @ ");
    known.emplace(line.substr(0, at), at == std::string::npos ? "" : line.substr(at + 3));
  }
  return known;
}

bool isKnown(const Known &known, const std::string &key, const Case &entry) {
  const std::string line =
      fmt::format("{} | {} | {}", entry.descriptor, entry.target, entry.schedule);
  const auto [first, last] = known.equal_range(key);
  return std::any_of(first, last,
                     [&](const auto &item) { return line.find(item.second) != std::string::npos; });
}

Result<Subject> prepare(const Case &entry) {
  Subject subject;
  subject.entry = &entry;
  // Sums that do not cancel first, then both orders and NaN.
  for (uint64_t kind : {1, 2, 3})
    for (int64_t m : entry.tokens) {
      GPTQC_ASSIGN(CaseRun run, CaseRun::prepare(entry.kernel, entry.launch, entry.descriptor, m,
                                                 4 * (entry.seed + uint64_t(m)) + kind));
      subject.runs.push_back(std::move(run));
    }
  recordMutants();
  const auto start = Clock::now();
  for (CaseRun &run : subject.runs)
    if (const Report report = run.run(); !report.clean())
      return makeError(Code::Internal, "{} | {} | {} fails without a mutant: {}", entry.descriptor,
                       entry.target, entry.schedule, report.text());
  subject.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  subject.mutants = recordMutants();
  return subject;
}

[[noreturn]] void runChild(const Job &job) {
  // A mutant may loop: the timer of CPU time kills it.
  const double limit = 1 + 10 * job.subject->seconds;
  itimerval timer = {};
  timer.it_value.tv_sec = time_t(limit);
  setitimer(ITIMER_PROF, &timer, nullptr);
  activateMutant(job.mutant);
  Subject subject = *job.subject;
  for (CaseRun &run : subject.runs) {
    const Report report = run.run(true);
    if (report.clean())
      continue;
    const std::string &what = report.errors[0].what;
    _exit(what.starts_with("deadlock")  ? Deadlock
          : what.starts_with("block (") ? Order
                                        : WrongResult);
  }
  _exit(Survived);
}

Outcome outcomeOf(int status) {
  if (WIFEXITED(status))
    return WEXITSTATUS(status) < Outcomes ? Outcome(WEXITSTATUS(status)) : Crash;
  return WTERMSIG(status) == SIGPROF ? Hang : Crash;
}

/// Runs jobs until they or the time are used up; reports each outcome.
template <typename Finished>
void runJobs(const std::vector<Job> &jobs, const MutationOptions &options,
             const Finished &finished) {
  const auto start = Clock::now();
  std::map<pid_t, size_t> running;
  size_t next = 0;
  const auto collect = [&] {
    int status = 0;
    const pid_t pid = wait(&status);
    if (const auto found = running.find(pid); found != running.end()) {
      finished(jobs[found->second], outcomeOf(status));
      running.erase(found);
    }
  };
  while (next < jobs.size()) {
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    // A mutant that was begun is run in all its kernels.
    const bool begun = next > 0 && jobs[next].mutant == jobs[next - 1].mutant;
    if (options.seconds > 0 && elapsed > options.seconds && !begun)
      break;
    while (int(running.size()) >= options.jobs)
      collect();
    const pid_t pid = fork();
    if (pid == 0)
      runChild(jobs[next]);
    running[pid] = next++;
  }
  while (!running.empty())
    collect();
}

/// The mutants of a place run in all kernels that have it, one after the other.
std::vector<Job> chooseJobs(const std::vector<Subject> &subjects, const MutationOptions &options) {
  std::map<int, std::vector<const Subject *>> subjectsOf;
  for (const Subject &subject : subjects)
    for (int mutant : subject.mutants)
      subjectsOf[mutant].push_back(&subject);
  std::vector<int> mutants;
  for (const auto &[mutant, list] : subjectsOf)
    mutants.push_back(mutant);
  if (options.sample > 0 || options.seconds > 0) {
    std::mt19937_64 random(options.seed);
    for (size_t i = mutants.size(); i > 1; --i)
      std::swap(mutants[i - 1], mutants[random() % i]);
  }
  if (options.sample > 0 && mutants.size() > options.sample)
    mutants.resize(options.sample);
  std::vector<Job> jobs;
  for (int mutant : mutants)
    for (const Subject *subject : subjectsOf[mutant])
      jobs.push_back({subject, mutant});
  return jobs;
}

/// A changed value may not matter in one kernel (a sum with what is zero there, a remainder of 1);
/// it is no mutant of that kernel when other kernels show that it is seen. Left-out statements and
/// waits have no such excuse.
bool idleHere(const std::string &key, const Account &account) {
  return account.caught > 0 && key.find("| statement left out |") == std::string::npos &&
         key.find("| waits for") == std::string::npos;
}

void printSurvivors(const char *verdict, const std::string &key, size_t runs,
                    const std::vector<const Case *> &kernels) {
  fmt::print("{} {} of {}: {}\n", verdict, kernels.size(), runs, key);
  for (const Case *entry : kernels)
    fmt::print("    {} | {} | {}\n", entry->descriptor, entry->target, entry->schedule);
}

} // namespace

Status runMutants(const MutationOptions &options) {
  GPTQC_ASSIGN(const std::vector<Mutant> table, readTable(options.table));
  GPTQC_ASSIGN(const Known known, readKnown(options.known));
  std::vector<Subject> subjects;
  std::set<int> exercised;
  for (const Case &entry : caseTable()) {
    GPTQC_ASSIGN(Subject subject, prepare(entry));
    exercised.insert(subject.mutants.begin(), subject.mutants.end());
    subjects.push_back(std::move(subject));
  }
  const std::vector<Job> jobs = chooseJobs(subjects, options);

  std::array<size_t, Outcomes> counts = {};
  std::map<std::string, Account> accounts;
  runJobs(jobs, options, [&](const Job &job, Outcome outcome) {
    Account &account = accounts[table[size_t(job.mutant)].key()];
    ++counts[outcome];
    ++account.runs;
    account.caught += outcome != Survived;
    if (outcome == Survived)
      account.survived.push_back(job.subject->entry);
  });

  size_t explained = 0, idle = 0, open = 0, total = 0;
  for (size_t count : counts)
    total += count;
  for (const auto &[key, account] : accounts) {
    std::vector<const Case *> unknown;
    for (const Case *entry : account.survived)
      if (!isKnown(known, key, *entry))
        unknown.push_back(entry);
    const bool isIdle = idleHere(key, account);
    explained += account.survived.size() - unknown.size();
    (isIdle ? idle : open) += unknown.size();
    if (unknown.size() < account.survived.size())
      fmt::print("explained {} of {}: {}\n", account.survived.size() - unknown.size(), account.runs,
                 key);
    if (!unknown.empty())
      printSurvivors(isIdle ? "idle" : "SURVIVED", key, account.runs, unknown);
  }
  const double all = double(std::max<size_t>(total, 1));
  fmt::print("mutants: {} of {} places change something in {} kernels; {} of {} runs\n",
             exercised.size(), table.size(), subjects.size(), total, jobs.size());
  for (int i = 1; i < Outcomes; ++i)
    fmt::print("  caught by {:<22} {:>6}\n", kOutcomes[size_t(i)], counts[size_t(i)]);
  fmt::print("  {:<32} {:>6}  {:.2f} %\n", "caught", total - counts[Survived],
             100 * double(total - counts[Survived]) / all);
  fmt::print("  {:<32} {:>6}  {:.2f} %\n", "idle here, caught elsewhere", idle,
             100 * double(idle) / all);
  fmt::print("  {:<32} {:>6}  {:.2f} %\n  {:<32} {:>6}\n", "explained in the list", explained,
             100 * double(explained) / all, "open", open);
  if (open > 0)
    return makeError(Code::Internal, "{} mutants survived unexplained", open);
  return Status();
}

} // namespace gptqc::sim
