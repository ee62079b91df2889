import { expect, test } from '@jest/globals';

import { type Endpoint, endpoint } from './endpoint.ts';
import { EndpointTable } from './endpoint-table.ts';

const line = (method: Endpoint['method'], path: string): Endpoint =>
  endpoint({
    ...{ method, path, id: `${method} ${path}`, summary: '', access: 'open', status: 200 },
    answer: () => Promise.resolve({}),
  });

const table = new EndpointTable([
  line('GET', '/api/projects'),
  line('GET', '/api/projects/{project}'),
  line('DELETE', '/api/projects/{project}'),
  line('GET', '/api/repositories/{repository}/-/tags'),
  line('GET', '/api/repositories/{repository}/-/tags/{tag}'),
  line('GET', '/auth/'),
]);

test.each([
  ['/api/projects', {}],
  ['/api/projects/team', { project: 'team' }],
  ['/api/projects/a%2Fb%20c', { project: 'a/b c' }],
  ['/api/repositories/team/deep/app/-/tags', { repository: 'team/deep/app' }],
  ['/api/repositories/team%2Fapp/-/tags/v1', { repository: 'team/app', tag: 'v1' }],
  ['/api/repositories/tags/tags/-/tags/tags', { repository: 'tags/tags', tag: 'tags' }],
  ['/auth/', {}],
])('the path %s is found with its parameters', (path, parameters) => {
  expect(table.find(path)?.parameters).toEqual(parameters);
});

test.each([
  '/api/projects/',
  '/api/projects/team/',
  '/api//projects',
  '/API/projects',
  '/api/projects/%zz',
  '/api/repositories/-/tags',
  '/api/repositories//-/tags',
  '/api/repositories/team//app/-/tags',
  '/api/repositories/team/app/tags',
  '/api/repositories/team/-/-/tags',
  '/auth',
])('the path %s is none of the table', (path) => {
  expect(table.find(path)).toBeUndefined();
});

test('a path has the methods of its lines', () => {
  expect([...(table.find('/api/projects/team')?.byMethod.keys() ?? [])]).toEqual(['GET', 'DELETE']);
});

test('two lines of one method and path are a mistake', () => {
  expect(() => new EndpointTable([line('GET', '/a'), line('GET', '/a')])).toThrow('twice');
});
