/**
 * Mutation testing of the model: `npm run mutation`, or one folder with
 * `npm run mutation -- --mutate 'src/hw/**'`. What survives, and why, is in docs/MUTANTS.md.
 */

/** Properties that hold words for a reader, and nothing that the model goes by. */
const TEXTS = new Set(['assumes', 'cites', 'models', 'summary', 'why']);

/** Constants that are made of such words. */
const PRINTED = new Set(['BRANCH_NAMES', 'LBR_TABLE', 'LENT']);

/** The name of a property of the matrix. */
const PROPERTY = /^[a-z]+-[a-z/-]+$/;

function isText({ node, parent }) {
  // The message of an assertion, or of an error.
  if (parent?.type === 'CallExpression' && parent.callee.name === 'assert') {
    return node !== parent.arguments[0] && node !== parent.callee;
  }
  if (parent?.type === 'NewExpression') return parent.callee.name?.endsWith('Error') === true;
  if (parent?.type === 'ObjectProperty') {
    // A reason under the name of the property that it is about, or a text by its own name.
    const reason = node.type === 'StringLiteral' && PROPERTY.test(parent.key.value ?? '');
    return reason || TEXTS.has(parent.key.name);
  }
  return parent?.type === 'VariableDeclarator' && PRINTED.has(parent.id.name);
}

export const strykerPlugins = [
  {
    kind: 'Ignore',
    name: 'texts',
    value: {
      shouldIgnore: (path) => (isText(path) ? 'It is a text for a reader.' : undefined),
    },
  },
];

export default {
  mutate: ['src/{hw,guest,host}/**/*.ts'],
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  plugins: ['@stryker-mutator/vitest-runner', './stryker.config.mjs'],
  ignorers: ['texts'],
  coverageAnalysis: 'perTest',
  concurrency: 1,
  timeoutMS: 8_000,
  incremental: true,
  incrementalFile: '.cache/mutation/incremental.json',
  tempDirName: '.cache/mutation/sandbox',
  reporters: ['clear-text', 'progress-append-only', 'html', 'json'],
  htmlReporter: { fileName: '.cache/mutation/report.html' },
  jsonReporter: { fileName: '.cache/mutation/report.json' },
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false },
  disableTypeChecks: true,
};
