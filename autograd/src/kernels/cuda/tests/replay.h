// Runs what was recorded of a driver: allocations, uploads and launches, with every block as long as it was asked for, so
// that an address sanitizer sees what lies beyond.

#include <map>

namespace replay {

struct Block {
    char* memory;
    uint64_t bytes;
};

static std::map<uint64_t, Block> blocks;
static FILE* record;

static void take(void* to, size_t bytes) {
    if (bytes && fread(to, 1, bytes, record) != bytes) {
        fprintf(stderr, "replay: the record ends early\n");
        exit(3);
    }
}

static uint64_t number() {
    uint64_t value;
    take(&value, sizeof value);
    return value;
}

// Where an address of the record lies here; itself where it lies in no block.
static uint64_t here(uint64_t address) {
    auto after = blocks.upper_bound(address);
    if (after == blocks.begin()) return address;
    auto at = std::prev(after);
    const uint64_t offset = address - at->first;
    return offset <= at->second.bytes ? (uint64_t)(at->second.memory + offset) : address;
}

static bool launch() {
    std::vector<char> name(number() + 1, 0);
    take(name.data(), name.size() - 1);
    unsigned sizes[5];
    for (unsigned& size : sizes) size = (unsigned)number();
    std::vector<std::vector<uint64_t>> arguments(number());
    std::vector<void*> pointers;
    for (auto& argument : arguments) {
        argument.resize(number());
        // Every word that is an address is one of a pointer: no other number is as large.
        for (uint64_t& word : argument) word = here(number());
        pointers.push_back(argument.data());
    }
    for (const emulator::Kernel* kernel = kernels; kernel->name; kernel++) {
        if (strcmp(kernel->name, name.data())) continue;
        const char* said = emulator::launch(*kernel, sizes, sizes[3], sizes[4], pointers.data(), 0);
        if (said) fprintf(stderr, "replay: %s: %s\n", name.data(), said);
        return !said;
    }
    fprintf(stderr, "replay: there is no kernel %s\n", name.data());
    return false;
}

}  // namespace replay

int main(int count, char** names) {
    using namespace replay;
    record = count == 2 ? fopen(names[1], "rb") : nullptr;
    if (!record) return 2;
    int launches = 0;
    for (int what; (what = fgetc(record)) != EOF;) {
        if (what == 'A') {
            const uint64_t address = number(), bytes = number();
            void* memory = nullptr;
            if (posix_memalign(&memory, 256, bytes)) return 2;
            memset(memory, 0xff, bytes);
            blocks[address] = Block{(char*)memory, bytes};
        } else if (what == 'U') {
            char* to = (char*)here(number());
            const uint64_t bytes = number();
            take(to, bytes);
            // Tables of addresses are uploaded, too; no other two numbers together look like one.
            for (uint64_t at = 0; at + 8 <= bytes; at += 8) {
                uint64_t word;
                memcpy(&word, to + at, 8);
                word = here(word);
                memcpy(to + at, &word, 8);
            }
        } else if (what == 'F') {
            const uint64_t address = number();
            free(blocks[address].memory);
            blocks.erase(address);
        } else {
            if (!launch()) return 1;
            launches++;
        }
    }
    printf("%d launches\n", launches);
}
