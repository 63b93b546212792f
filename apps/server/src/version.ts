declare const __PACKAGE_VERSION__: string;

/** Version of this package, as package.json says it; put in when it is built. */
export const VERSION: string = __PACKAGE_VERSION__;
