/** What a benchmark has to say, before it is text, Markdown or a page. */
import { type Column, renderTable } from "../output/table.js";

export interface Report {
  readonly title: string;
  readonly sections: readonly Section[];
}

export interface Section {
  /** Lines above the table. */
  readonly head: readonly string[];
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
  /** Lines below the table. */
  readonly notes: readonly string[];
  readonly charts?: readonly Chart[];
}

export type Chart = LineChart | BarChart;

/** Points in any order; each series is a line through its own. Axes begin at 0. */
export interface LineChart {
  readonly kind: "lines";
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [number, number])[];
  }[];
}

/** Parts of a whole, the largest first. */
export interface BarChart {
  readonly kind: "bars";
  readonly title: string;
  readonly bars: readonly { readonly name: string; readonly share: number; readonly label: string }[];
}

/** For people; ends with a newline. */
export function reportText({ sections }: Report): string {
  return sections
    .map(({ head, columns, rows, notes }) => {
      const parts = [head, rows.length > 0 ? renderTable(columns, rows) : [], notes];
      return `${parts
        .filter((lines) => lines.length > 0)
        .map((lines) => lines.join("\n"))
        .join("\n\n")}\n`;
    })
    .join("\n");
}

/** For an issue or a README; ends with a newline. */
export function reportMarkdown({ title, sections }: Report): string {
  const cells = (row: readonly string[]) =>
    `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const parts = sections.map(({ head, columns, rows, notes }) => {
    const table = [
      cells(columns.map((column) => column.title)),
      `|${columns.map(({ align }) => (align === "right" ? "---:" : "---")).join("|")}|`,
      ...rows.map(cells),
    ];
    const paragraphs = [...head, ...(rows.length > 0 ? [table.join("\n")] : []), ...notes];
    return paragraphs.join("\n\n");
  });
  return `# ${title}\n\n${parts.join("\n\n")}\n`;
}
