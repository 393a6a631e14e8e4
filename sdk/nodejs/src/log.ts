// Where the SDK says what its users should know.

/** What the SDK writes to. `console` is one, and so are most loggers. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** What is used without a logger: warnings and errors go to standard error, nothing else is said. */
export const warnings: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message) => console.warn(`orca: ${message}`),
  error: (message) => console.error(`orca: ${message}`),
};
