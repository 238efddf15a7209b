/** The images of the commits of a repository, each built of what has changed since the others. */
import { cacheFolder } from '../build.js';
import { readBy, type ImageOptions } from './build.js';
import { folderImage, type TreeImage } from './image.js';
import { GENERATED_FROM } from './sources.js';
import { openTree } from './tree.js';

/** Builds images of commits, and knows which files they were made of. */
export class CommitImages {
  private readonly repository: string;
  private readonly options: ImageOptions;
  /** Folders of the trees so far, the last one first: it is likely to have the same files. */
  private trees: readonly string[] = [];
  private readonly read: Set<string> = new Set(GENERATED_FROM);

  constructor(repository: string, options: Pick<ImageOptions, 'kvm' | 'signal'>) {
    this.repository = repository;
    this.options = options;
  }

  /** The files of the tree that any image so far was made of. */
  get files(): readonly string[] {
    return [...this.read];
  }

  /**
   * Builds the image of a commit.
   *
   * @param hash - in full.
   * @throws KernelError when it can't be built.
   */
  async at(hash: string): Promise<TreeImage> {
    const cache = cacheFolder();
    const tree = await openTree(`${this.repository}@${hash}`, cache);
    const options = { ...this.options, bases: this.trees };
    // Also where it can't be built whole: most of its objects can be.
    this.trees = [tree, ...this.trees];
    const image = await folderImage(tree, cache, options);
    for (const paths of (await readBy(tree, cache, options)).values()) {
      for (const path of paths) this.read.add(path);
    }
    return image;
  }
}
