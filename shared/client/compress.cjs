// compress.cjs FROM TO.gz|TO.br: as small as each of the two formats can make it.
const { readFileSync, renameSync, writeFileSync } = require("node:fs");
const { brotliCompressSync, constants, gzipSync } = require("node:zlib");

const [, , from, to] = process.argv;
const bytes = readFileSync(from);
const small = to.endsWith(".br")
  ? brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } })
  : gzipSync(bytes, { level: 9 });
writeFileSync(`${to}.new`, small);
renameSync(`${to}.new`, to);
