// Where the SDK says what its users should know.

/** What the SDK writes to. `console` is one, and so are most loggers. */
export interface Logger {
  /** Handled failures of algorithms. */
  debug(message: string): void;
  /** That a core has accepted the processor. */
  info(message: string): void;
  /** Unhandled failures, a core that is away, what a core has to say. */
  warn(message: string): void;
  /** What is wrong with how processors are set up. */
  error(message: string): void;
}

/** What is used without a logger: warnings and errors go to standard error, nothing else is said. */
export const warnings: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (message) => console.warn(`orca: ${message}`),
  error: (message) => console.error(`orca: ${message}`),
};
