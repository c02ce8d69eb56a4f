// A node of libtorch's graph whose value has been computed and whose backward is a function of Rust's (src/model/kernel/node.rs).

#include <torch/csrc/autograd/custom_function.h>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

namespace {
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Entry = int (*)(const void *backward, const at::Tensor *grad, const at::Tensor *const *saved, size_t kept,
                      at::Tensor **into, size_t inputs);

constexpr size_t most = 3;
using Input = std::optional<at::Tensor>;

struct Node : torch::autograd::Function<Node> {
  static at::Tensor forward(AutogradContext *context, const Input &, const Input &, const Input &, size_t inputs,
                            const at::Tensor *value, const variable_list *saved, Entry entry, const void *backward) {
    context->save_for_backward(*saved);
    context->saved_data["entry"] = reinterpret_cast<int64_t>(entry);
    context->saved_data["backward"] = reinterpret_cast<int64_t>(backward);
    context->saved_data["inputs"] = static_cast<int64_t>(inputs);
    return *value;
  }

  static variable_list backward(AutogradContext *context, const variable_list &grads) {
    const auto number = [&](const char *name) { return context->saved_data[name].toInt(); };
    const auto saved = context->get_saved_variables();
    std::vector<const at::Tensor *> keep;
    for (const auto &tensor : saved) keep.push_back(&tensor);
    std::vector<at::Tensor *> into(number("inputs"));
    const auto entry = reinterpret_cast<Entry>(number("entry"));
    if (entry(reinterpret_cast<const void *>(number("backward")), &grads[0], keep.data(), keep.size(), into.data(), into.size()))
      throw std::runtime_error("a backward of crossover's failed");
    variable_list made(most + 5); // nothing is differentiated by what follows the inputs
    for (size_t at = 0; at < into.size(); ++at) made[at] = *std::unique_ptr<at::Tensor>(into[at]);
    return made;
  }
};
} // namespace

extern "C" at::Tensor *crossover_node(const at::Tensor *const *inputs, size_t count, const at::Tensor *value,
                                      const at::Tensor *const *saved, size_t kept, Entry entry,
                                      const void *backward) noexcept {
  try {
    if (count > most) return nullptr;
    std::array<Input, most> from;
    variable_list keep;
    for (size_t at = 0; at < count; ++at) from[at] = *inputs[at];
    for (size_t at = 0; at < kept; ++at) keep.push_back(*saved[at]);
    return new at::Tensor(Node::apply(from[0], from[1], from[2], count, value, &keep, entry, backward));
  } catch (...) {
    return nullptr;
  }
}
