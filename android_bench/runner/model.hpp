// An artifact's graphs run as one model, by its driver: padding, choice of length, early exits.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "session.hpp"

struct Answer {
  std::vector<Tensor> outputs;
  int layers = 0;  // segments passed; 0 where the model never leaves early
};

class Model {
 public:
  // Opens every graph the driver names. Throws Error for a graph that is missing, refused, or takes what no input is.
  Model(const Request& request, Runtime& runtime);
  // Throws Error for a text longer than the longest graph.
  Answer answer(const InputSet& inputs) const;

 private:
  struct Opened {
    const GraphSpec* spec;
    std::unique_ptr<Session> session;
  };
  // The segments of one length: one, unless the model may leave early.
  struct Chain {
    int64_t length;
    std::vector<Opened> segments;
  };

  const DriverSpec& driver_;
  std::vector<Chain> chains_;

  const Chain& choose(int64_t size) const;
  std::vector<Tensor> run(const Opened& graph, const InputSet& given) const;
  Answer cascade(const Chain& chain, InputSet given) const;
};
